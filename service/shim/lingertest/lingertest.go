// Package lingertest runs a shim that goes on without its keeper, for tests of
// those who connect to it. It is apart from shimtest, which the shim's own
// tests use.
package lingertest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// Listen runs one in this process as long as the test, and answers the socket
// to connect to. At the end it stops what it still holds; a failure then is one
// of the test.
func Listen(t testing.TB) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control")
	fd, err := shim.Listen(socket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan os.Signal)
	server, err := shim.NewServer(shim.Config{Listener: fd, Stay: true, Stop: stop, StopWait: time.Second, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket
}
