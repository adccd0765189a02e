package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// The real bridge, run by a shell as sshd would, in place of another host.
func TestRemoteKeeperThroughTheBridge(t *testing.T) {
	ssh := filepath.Join(t.TempDir(), "ssh")
	script := "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n"
	if err := os.WriteFile(ssh, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEMD_SSH", ssh)
	bus := bustest.Start(t)
	k := fakekeeper.New("cam1")
	stop := serve(t, bus, k)
	ctx := within(t)
	c, err := client.DialRemote(ctx, client.Remote{Host: "studio", Batch: true}, bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Streams(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "cam1" {
		t.Fatalf("%v, %v", all, err)
	}
	e := &events{t, c.Watch(ctx)}
	e.expect("resync 1 streams")
	if pid, err := c.Start(ctx, "cam1", client.Options{}); err != nil || pid == 0 {
		t.Errorf("%d, %v", pid, err)
	}
	for {
		if ev := e.next(); ev.Kind == client.EventStateChanged && ev.New == string(stream.StateRunning) {
			break
		}
	}
	// Descriptors stay on their host.
	if f, err := c.OpenStdin(ctx, "cam1"); err == nil {
		f.Close()
		t.Error("a descriptor came through the bridge")
	}
	stop()
	_, err = c.Streams(ctx)
	if want := "ffkeeperd is not running on studio; start it there with: systemctl start ffkeeper"; !errors.Is(err, client.ErrNotRunning) || err.Error() != want {
		t.Errorf("without a keeper: %v", err)
	}
}
