package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// The ways in which one client floods the keeper. More than 128 calls without
// their answers the bus refuses by itself (dbus-daemon(1),
// max_replies_per_connection).
var callFloods = []struct {
	kind, what, wanted string
}{
	{"reports", "120 reports of all streams wanted at any time, as many as the bus allows", "≤ 10 ms"},
	{"refused", "600, most of which the bus itself refuses", ""},
	{"silent", "calls without answers, as fast as the bus takes them", "≤ 10 ms"},
}

// callFlood measures GetHealth of one client while another floods the keeper
// from a process of its own.
func (b *bench) callFlood([]starter) error {
	for _, f := range callFloods {
		var p50, p99, bus []time.Duration
		for range b.runs {
			took, floor, err := b.callFloodRun(f.kind)
			if err != nil {
				return err
			}
			p50, p99 = append(p50, percentile(took, 50)), append(p99, percentile(took, 99))
			bus = append(bus, percentile(floor, 99))
		}
		what := "GetHealth beside a client's flood (" + f.what + "), "
		b.out.set(what+"p50", "", "ffkeeper", ms(median(p50)))
		b.out.set(what+"p99", f.wanted, "ffkeeper", ms(median(p99)))
		b.out.set("a call of the bus itself beside it, p99", "", "ffkeeper", ms(median(bus)))
	}
	return nil
}

// callFloodRun also measures, in turn, calls that the bus itself answers: what
// is theirs is not the keeper's doing.
func (b *bench) callFloodRun(kind string) (took, floor []time.Duration, err error) {
	const streams, n = 40, 2000
	p, err := startKeeper(b, b.fleet(streams))
	if err != nil {
		return nil, nil, err
	}
	defer p.stop()
	if err := p.startAll(); err != nil {
		return nil, nil, err
	}
	state := filepath.Join(p.(*keeper).dir, "state")
	c, err := client.Dial("private", state)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	bus, err := connect(state)
	if err != nil {
		return nil, nil, err
	}
	defer bus.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	flooder := exec.CommandContext(b.ctx, self, "flood", kind, state)
	flooder.Stderr = os.Stderr
	said, err := flooder.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := flooder.Start(); err != nil {
		return nil, nil, err
	}
	defer flooder.Wait()
	defer flooder.Process.Kill()
	if _, err := said.Read(make([]byte, 1)); err != nil {
		return nil, nil, fmt.Errorf("the flood does not begin: %w", err)
	}
	for i := range n {
		begun := time.Now()
		if _, err := c.Health(b.ctx, fmt.Sprintf("s%04d", i%streams)); err != nil {
			return nil, nil, err
		}
		took = append(took, time.Since(begun))
		begun = time.Now()
		if err := bus.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
			return nil, nil, err
		}
		floor = append(floor, time.Since(begun))
	}
	return took, floor, nil
}

// flood is the other client. It says one byte when it has begun.
func flood(kind, state string) error {
	atOnce := 120
	if kind == "refused" {
		atOnce = 600
	}
	c, err := connect(state)
	if err != nil {
		return err
	}
	o := c.Object("org.ffkeeper1", "/org/ffkeeper1")
	const method = "org.ffkeeper1.Manager.GetHealthReport"
	var begun sync.Once
	begin := func() { begun.Do(func() { fmt.Print("!") }) }
	if kind == "silent" {
		for n := 0; ; n++ {
			if err := o.Go(method, dbus.FlagNoReplyExpected, nil).Err; err != nil {
				return err
			}
			if n == 5000 {
				begin()
			}
		}
	}
	answers := make(chan *dbus.Call, 2*atOnce)
	for range atOnce {
		o.Go(method, 0, answers)
	}
	for call := range answers {
		begin()
		var e dbus.Error
		if call.Err != nil && !(errors.As(call.Err, &e) && e.Name == "org.freedesktop.DBus.Error.LimitsExceeded") {
			return call.Err
		}
		o.Go(method, 0, answers)
	}
	return nil
}

// connect goes to the private bus of a keeper with that state directory.
func connect(state string) (*dbus.Conn, error) {
	address, err := os.ReadFile(filepath.Join(state, "bus-address"))
	if err != nil {
		return nil, err
	}
	return dbus.Connect(strings.TrimSpace(string(address)))
}
