package systemtest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What ffmpeg draws about its own progress is no log, also where the stream's
// command asks for it: with levels, without, and at a level at which it is all
// that is said.
func TestStatsThatWereAskedForAreNotInTheJournal(t *testing.T) {
	const rest = " -re -f lavfi -i testsrc2=size=160x90:rate=10 -f null -\n"
	streams := map[string]string{
		"stats":   "[Stream]\nExecStart=ffmpeg -stats" + rest,
		"often":   "[Stream]\nExecStart=ffmpeg -stats -stats_period 0.5" + rest,
		"unlevel": "[Stream]\nExecStart=ffmpeg -stats -stats_period 0.5 -loglevel info" + rest,
		"quiet":   "[Stream]\nExecStart=sh -c \"echo Output is to begin >&2; exec ffmpeg -stats -stats_period 0.5 -loglevel error -progress pipe:3" + strings.TrimSuffix(rest, "\n") + "\"\n",
	}
	h := serving(t, streams, nil)

	// That ffmpeg draws them is what makes this a test.
	drawn := h.Exec("ffmpeg", "-stats", "-stats_period", "0.5", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10", "-t", "2", "-f", "null", "-")
	if strings.Count(drawn.Stderr, "frame=") < 3 {
		t.Fatalf("ffmpeg draws no stats: %v", drawn)
	}
	for name := range streams {
		h.Eventually(30*time.Second, name+" at three seconds", func() string {
			var shown []struct {
				OutTime int64 `json:"out_time_usec"`
			}
			out := h.Exec("ffkeeperctl", "health", "--json", name).Stdout
			if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown) != 1 || shown[0].OutTime < 3e6 {
				return out
			}
			return ""
		})
		h.Run("ffkeeperctl", "stop", name) // it draws a last one
		h.WaitJournal(20*time.Second, "FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=stopped")
		var ordinary bool
		for _, r := range h.Journal("-t", name) {
			m := r["MESSAGE"]
			ordinary = ordinary || strings.HasPrefix(m, "Output ")
			if strings.Contains(m, "frame=") || strings.Contains(m, "time=") || strings.Contains(m, "speed=") {
				t.Errorf("%s: progress is in the journal: %q", name, m)
			}
		}
		if !ordinary {
			t.Errorf("%s: what it says otherwise is not in the journal", name)
		}
		if kept := h.Exec("ffkeeperctl", "status", "-n", "50", "--json", name).Stdout; !strings.Contains(kept, "Output ") || strings.Contains(kept, "frame=") {
			t.Errorf("%s: the last lines are to be without progress: %s", name, kept)
		}
	}
}
