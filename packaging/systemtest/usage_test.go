package systemtest

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a stream reads from disk and writes there, the kernel tells its own
// user alone: the keeper, which has another, is told by the shim.
func TestHealthHasTheDiskTrafficOfAnotherUser(t *testing.T) {
	h := serving(t, map[string]string{"cam1": `[Stream]
Type=simple
ExecStart=sh -c "while :; do dd if=/dev/zero of=/srv/disk/f bs=64k count=4 conv=fsync status=none; dd if=/srv/disk/f of=/dev/null bs=64k iflag=direct status=none; sleep 0.2; done"
`}, map[string]string{"/etc/systemd/system/ffkeeper-streams.service.d/test.conf": `[Service]
ReadWritePaths=/srv/disk
ExecStartPre=+chown ffkeeper-streams /srv/disk
`})
	var fs syscall.Statfs_t
	if err := syscall.Statfs(h.Path("/srv/disk"), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == tmpfsMagic {
		t.Skip("SKIPPED: THE TEMPORARY DIRECTORY OF THE TESTS IS IN MEMORY, AND NO TRAFFIC OF ITS FILES IS COUNTED")
	}
	h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=started")
	counters := "/proc/" + h.pid("cam1") + "/io"
	if r := h.Exec("runuser", "-u", "ffkeeper", "--", "cat", counters); r.Code == 0 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Errorf("the keeper's user needs no shim to read %s: %v", counters, r)
	}
	var first traffic
	h.Eventually(30*time.Second, "traffic is shown and grows", func() string {
		now := h.traffic("cam1")
		if first.read == 0 || first.written == 0 {
			first = now
			return "nothing was read or nothing written yet"
		}
		if now.read <= first.read || now.written <= first.written {
			return "it stands"
		}
		return ""
	})
}

const tmpfsMagic = 0x01021994 // statfs(2)

type traffic struct{ read, written uint64 }

// traffic is what ffkeeperctl shows of a stream's disk traffic.
func (h *Host) traffic(name string) traffic {
	h.t.Helper()
	var shown []struct {
		Read    uint64 `json:"read_bytes"`
		Written uint64 `json:"write_bytes"`
	}
	out := h.Run("ffkeeperctl", "health", "--json", name)
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown) != 1 {
		h.t.Fatalf("%v: %s", err, out)
	}
	return traffic{shown[0].Read, shown[0].Written}
}
