package service_test

import (
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// Keys of an environment, with nothing around them that tells what they are,
// from commands that run before the stream itself has.
func TestTalkOfBuildersAndHooksIsRedacted(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": `Type=simple
Restart=no
RestartMaxAttempts=1
Environment=STREAM_KEY=s3cret-4f1c-9a77
CommandBuilder=sh -c 'echo "the server does not like $$STREAM_KEY" >&2; exit 1'
OnFailure=sh -c 'echo "one cannot call with $$2" >&2; exit 1' sh --token s3cret-of-one-77e0
OnFailure=sh -c 'echo "two cannot call with $$2" >&2; exit 1' sh --token s3cret-of-two-b51d
OnFailure=sh -c 'echo "three cannot call with $$2" >&2; exit 1' sh --token s3cret-of-three-0c4e`})
	_, _ = k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	s := k.until("s", "failure", func(s *stream.Snapshot) bool { return s.State == stream.StateFailed })
	if !strings.Contains(s.Detail, "does not like [redacted]") {
		t.Errorf("of the builder: %s", s.Detail)
	}
	k.until("s", "the last words of three hooks", func(*stream.Snapshot) bool {
		return strings.Count(k.log.String(), "hook for failure exited") == 3
	})
	for _, hook := range []string{"one", "two", "three"} {
		if !strings.Contains(k.log.String(), "exited with code 1: "+hook+" cannot call with [redacted]") {
			t.Errorf("nothing is redacted of hook %s", hook)
		}
	}
	k.hidden("s", "s3cret")
}

func TestDescriptionIsRedacted(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Description=Door, http://viewer:s3cret@door.example/main\nExecStart=true"})
	if s := k.snap("s"); s.Description != "Door, http://[redacted]@door.example/main" {
		t.Errorf("%q", s.Description)
	}
	k.hidden("s", "s3cret")
}
