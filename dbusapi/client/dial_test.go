package client

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
)

func TestDialOfAHungBusEnds(t *testing.T) {
	bus := bustest.Start(t)
	bus.Signal(syscall.SIGSTOP)
	defer bus.Signal(syscall.SIGCONT)
	c := &Client{bus: bus.Address, dialTimeout: 50 * time.Millisecond}
	if _, err := c.connection(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
}
