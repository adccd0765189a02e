package shim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// connPair makes two connections that talk to each other. They are closed at
// the end of the test.
func connPair(t *testing.T) (a, b *conn) {
	t.Helper()
	fa, fb, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = newConn(fa, "a"); err != nil {
		t.Fatal(err)
	}
	if b, err = newConn(fb, "b"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		go a.close() // it may hang, which a test has told by then
		b.close()
	})
	return a, b
}

// fill sends until n messages wait for the peer to read.
func fill(t *testing.T, c *conn, n int) (sent int) {
	t.Helper()
	for {
		c.mu.Lock()
		waiting := len(c.queue)
		c.mu.Unlock()
		if waiting >= n {
			return sent
		}
		if err := c.send(&message{Type: msgPing, Seq: uint64(sent + 1)}, nil); err != nil {
			t.Fatal(err)
		}
		sent++
	}
}

// TestAConnectionThatIsSendingWhatWaitedCanBeClosed: at any moment of it. The
// peer reads, so that what waits is being sent while close comes.
func TestAConnectionThatIsSendingWhatWaitedCanBeClosed(t *testing.T) {
	for range 300 {
		a, b := connPair(t)
		fill(t, a, 50)
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for first := true; ; first = false {
				if _, _, err := b.receive(); err != nil {
					return
				}
				if first {
					reading <- struct{}{}
				}
			}
		}()
		<-reading
		closed := make(chan struct{})
		go func() { a.close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("close hangs")
		}
		<-reading
		b.close()
	}
}

// TestCloseOfAClientSendsWhatWaited: a Leave, for one, that came last.
func TestCloseOfAClientSendsWhatWaited(t *testing.T) {
	a, b := connPair(t)
	c := &Client{conn: a, handler: func(Event) {}, pending: map[uint64]answer{}, held: map[ID]holding{}, lost: make(chan struct{})}
	go c.read()
	sent := fill(t, a, 50)
	if err := c.Leave(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	got := 0
	for {
		m, _, err := b.receive()
		if err != nil {
			t.Fatalf("%d of %d messages and no leave: %v", got, sent, err)
		}
		if m.Type == msgLeave {
			break
		}
		got++
	}
	if got != sent {
		t.Errorf("%d of %d messages before the last", got, sent)
	}
	<-closed
}

// TestCloseOfAClientDoesNotWaitForAShimThatIsStuck for longer than last words
// take.
func TestCloseOfAClientDoesNotWaitForAShimThatIsStuck(t *testing.T) {
	a, _ := connPair(t)
	c := &Client{conn: a, handler: func(Event) {}, pending: map[uint64]answer{}, held: map[ID]holding{}, lost: make(chan struct{})}
	go c.read()
	fill(t, a, 50)
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(closeWait + 10*time.Second):
		t.Fatal("close hangs")
	}
}

// TestDrainWaitsForAPeerThatReadsSlowly: longer than it may be silent, and not
// for one that has stopped reading.
func TestDrainWaitsForAPeerThatReadsSlowly(t *testing.T) {
	const most = 300 * time.Millisecond
	a, b := connPair(t)
	sent := fill(t, a, 50)
	drained := make(chan int)
	go func() { drained <- a.drain(most) }()
	pace := time.NewTicker(3 * most / time.Duration(sent))
	defer pace.Stop()
	for got := range sent {
		<-pace.C
		if _, _, err := b.receive(); err != nil {
			t.Fatalf("after %d of %d: %v", got, sent, err)
		}
	}
	if left := <-drained; left != 0 {
		t.Errorf("%d of %d messages were given up", left, sent)
	}

	fill(t, a, 3)
	if left := a.drain(most); left != 3 {
		t.Errorf("%d are left of 3 that nobody reads", left)
	}
}

func TestWarningsOfTheEndAreWritten(t *testing.T) {
	s := &Server{log: make(chan string, 100), done: make(chan struct{})}
	for i := range 50 {
		s.log <- fmt.Sprint("warning ", i)
	}
	close(s.done)
	var out strings.Builder
	s.logTo(&out)
	if n := strings.Count(out.String(), "\n"); n != 50 {
		t.Errorf("%d of 50 are there", n)
	}
}
