package shim

import (
	"io"
	"testing"
	"time"
)

func TestInProcessSmoke(t *testing.T) {
	events := make(chan Event, 100)
	c, err := InProcess(func(e Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Child, 1)
	c.Spawn(SpawnRequest{Stream: "x", Argv: []string{"sh", "-c", "echo hi; echo p >&3; exit 3"}, Stdout: Pipe, Progress: true}, nil, func(ch *Child, err error) {
		if err != nil {
			t.Error(err)
		}
		got <- ch
	})
	ch := <-got
	b, _ := io.ReadAll(ch.Stdout)
	p, _ := io.ReadAll(ch.Progress)
	t.Logf("%q %q", b, p)
	for i := 0; i < 2; i++ {
		select {
		case e := <-events:
			t.Logf("%T %+v", e, e)
		case <-time.After(5 * time.Second):
			t.Fatal("no event")
		}
	}
	c.Forget(ch.ID)
	t.Log(c.Close())
}
