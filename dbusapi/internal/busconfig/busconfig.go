// Package busconfig writes configurations for a dbus-daemon of one's own.
package busconfig

import "fmt"

// Text is the configuration of a bus at address, as in dbus-daemon(1), on which
// everything may be owned and sent. It lets in whoever has the uid of the one
// who starts it, and root, for without an <allow user=.../> a dbus-daemon admits
// nobody else; more are elements to follow the policy. The receive_type rules
// are not the default: without them every call hangs.
func Text(address, more string) string {
	return fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
%s</busconfig>
`, address, more)
}
