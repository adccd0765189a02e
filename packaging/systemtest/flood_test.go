package systemtest

import (
	"strings"
	"testing"
)

// One client that wants more than it may is told so, and another is served
// meanwhile: by the installed keeper, on the real system bus. How quickly is
// measured by make bench.
func TestFloodOfOneUserIsLimitedAndAnotherIsServed(t *testing.T) {
	h := polkitHost(t)
	flood := h.talk("setpriv", "--reuid=other", "--clear-groups", "--", "probe", "flood")
	flood.expect("refused LimitsExceeded")
	calls := make([]string, 50)
	for i := range calls {
		calls[i] = "GetHealth"
	}
	calls = append(calls, "ResetFailed", "WriteStdin", "Reload")
	out := h.Run(append([]string{"runuser", "-u", "member", "--", "probe", "call"}, calls...)...)
	if n := strings.Count(out+"\n", " = ok\n"); n != len(calls) {
		t.Errorf("%d of %d calls of another user were answered:\n%s", n, len(calls), out)
	}
	flood.say("") // it goes on, and is refused still
	flood.expect("refused again")
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the keeper was restarted %s times", got)
	}
}
