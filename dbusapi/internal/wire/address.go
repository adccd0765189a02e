package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/godbus/dbus/v5"
)

// dialSocket tries the entries of an address list in turn, as the D-Bus
// specification asks ("Server Addresses").
func dialSocket(ctx context.Context, address string) (*net.UnixConn, error) {
	names, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, name := range names {
		var d net.Dialer
		sock, err := d.DialContext(ctx, "unix", name)
		if err == nil {
			return sock.(*net.UnixConn), nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// ParseAddress returns the sockets that a D-Bus address list names, in Go's
// form: an abstract one begins with @. Transports other than unix: are
// refused, for they carry no credentials and no descriptors.
func ParseAddress(address string) ([]string, error) {
	var names []string
	for entry := range strings.SplitSeq(address, ";") {
		if entry == "" {
			continue
		}
		transport, rest, ok := strings.Cut(entry, ":")
		if !ok {
			return nil, fmt.Errorf("cannot use the bus address %q: no transport such as unix: in it", entry)
		}
		if transport != "unix" {
			return nil, fmt.Errorf("cannot use the bus address %q: only unix: can be used", entry)
		}
		name, err := unixSocket(rest)
		if err != nil {
			return nil, fmt.Errorf("cannot use the bus address %q: %w", entry, err)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("cannot use the bus address: it is empty")
	}
	return names, nil
}

func unixSocket(pairs string) (string, error) {
	var path, abstract string
	for pair := range strings.SplitSeq(pairs, ",") {
		key, value, _ := strings.Cut(pair, "=")
		plain, err := dbus.UnescapeBusAddressValue(value)
		if err != nil {
			return "", err
		}
		switch key {
		case "path":
			path = plain
		case "abstract":
			abstract = plain
		}
	}
	switch {
	case path != "" && abstract == "":
		return path, nil
	case abstract != "" && path == "":
		return "@" + abstract, nil
	}
	return "", errors.New("it needs one of path= and abstract=")
}
