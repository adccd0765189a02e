//go:build vmtest

package inside

import "testing"

func TestStreamDeliversOnceServiceIsStarted(t *testing.T) {
	m := serving(t, map[string]string{"cam1": recording})
	m.delivering("cam1")
	m.Run("ffkeeperctl", "health", "cam1")
	if got := m.Run("stat", "-c", "%U", "/proc/"+m.pid("cam1")); got != "ffkeeper-streams" {
		t.Errorf("the stream's process is %s's", got)
	}
	if got := m.Property("ffkeeper.service", "StatusText"); got != "1 stream: 1 ok" {
		t.Errorf("the unit says %q", got)
	}
}
