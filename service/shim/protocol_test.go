package shim

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rude is a peer that speaks as it likes.
type rude struct {
	*conn
	t *testing.T
}

func rudeTo(t *testing.T, l *linger) *rude {
	t.Helper()
	for {
		fd, err := dialSocket(t.Context(), l.path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newConn(fd, "rude peer")
		if err != nil {
			t.Fatal(err)
		}
		r := &rude{c, t}
		c.send(&message{Type: msgHello, Hello: &helloBody{Min: 1, Max: 1}}, nil)
		if m := r.hear(); m.Type == msgError { // another test's keeper is about to be gone
			c.close()
			continue
		}
		for r.hear().Type != msgHelloEnd {
		}
		t.Cleanup(c.close)
		return r
	}
}

// hear returns the next message.
func (r *rude) hear() *message {
	r.t.Helper()
	r.file.SetReadDeadline(time.Now().Add(patience))
	m, fds, err := r.receive()
	if err != nil {
		r.t.Fatal(err)
	}
	closeAll(fds)
	return m
}

// say sends raw bytes.
func (r *rude) say(data string, fds ...int) {
	r.t.Helper()
	for {
		err := sendPacket(r.fd, []byte(data), fds)
		if err == unix.EAGAIN {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return
	}
}

func TestEveryWrongMessageIsAnswered(t *testing.T) {
	l := startLinger(t)
	r := rudeTo(t, l)
	r.say(`{"v":1,"type":"spawn","spawn":{"argv":["sleep","1000"]}}`)
	if m := r.hear(); m.Type != msgSpawned || m.Child.ID != 1 {
		t.Fatalf("%+v", m)
	}
	before := fdCount(t, l.cmd.Process.Pid)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	memory := func(s string) int {
		fd, err := memfd("test", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	for _, c := range []struct {
		data string
		fds  []int
		want string
		seq  uint64
	}{
		{data: "rubbish", want: "malformed"},
		{data: "\x00", want: "malformed"},
		{data: "null", want: "version 0"},
		{data: "[]", want: "malformed"},
		{data: `{"v":1}`, want: "without a type"},
		{data: `{"v":2,"type":"ping","seq":3}`, want: "version 2", seq: 3},
		{data: `{"v":1,"type":"dance","seq":4}`, want: `unknown message type "dance"`, seq: 4},
		{data: `{"v":1,"type":"hello","hello":{"min":1,"max":1}}`, want: "second time"},
		{data: `{"v":1,"type":"spawn","seq":5}`, want: "without a request", seq: 5},
		{data: `{"v":1,"type":"spawn","seq":6,"spawn":{"argv":["true"]}}`, fds: []int{0}, want: "0 file descriptors announced, 1 received", seq: 6},
		{data: `{"v":1,"type":"spawn","seq":7,"fds":["extra"],"spawn":{"argv":["true"]}}`, want: "1 file descriptors announced, 0 received", seq: 7},
		{data: `{"v":1,"type":"spawn","seq":8,"spawn":{"argv":[["%%%"]]}}`, want: "malformed"},
		{data: `{"v":1,"type":"spawn","seq":8,"spawn":{"argv":[["YQ==","YQ=="]]}}`, want: "malformed"},
		{data: `{"v":1,"type":"spawn","seq":9,"spawn":{"argv":[]}}`, want: "argv is empty", seq: 9},
		{data: `{"v":1,"type":"spawn","seq":10,"spawn":{"stream":"a\nb","argv":["true"]}}`, want: "bad stream name", seq: 10},
		{data: `{"v":1,"type":"note","seq":11,"blob":"AA=="}`, want: "bad stream name", seq: 11},
		{data: `{"v":1,"type":"signal","seq":12,"id":1,"signal":15}`, want: `unknown scope ""`, seq: 12},
		{data: `{"v":1,"type":"signal","seq":13,"id":1,"signal":65,"scope":"main"}`, want: "65 is not a signal", seq: 13},
		{data: `{"v":1,"type":"memfd"}`, want: "without a file descriptor"},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{int(read.Fd())}, want: "should be a memfd"},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{int(null.Fd())}, want: "should be a memfd"},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{memory("rubbish")}, want: "malformed"},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{memory(`{"v":1,"type":"memfd"}`)}, want: "within a memfd"},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{memory(`{"v":1,"type":"ping","seq":12}`), 0, 1}, want: "0 file descriptors announced, 2 received", seq: 12},
		{data: `{"v":1,"type":"memfd"}`, fds: []int{memory(strings.Repeat(" ", maxMessage+1))}, want: "at most"},
		{data: strings.Repeat("x", maxPacket+1), want: "longer than"},
	} {
		r.say(c.data, c.fds...)
		m := r.hear()
		if m.Type != msgError || m.Seq != c.seq || !strings.Contains(fromWire(m.Error).Error(), c.want) {
			t.Errorf("%.80q: answer %s %d %+v, want %q for %d", c.data, m.Type, m.Seq, m.Error, c.want, c.seq)
		}
	}
	// Things that are answered by nothing at all.
	for _, data := range []string{
		`{"v":1,"type":"signal"}`, `{"v":1,"type":"signal","id":99,"signal":-5,"scope":"all"}`, `{"v":1,"type":"kill","id":18446744073709551615}`,
		`{"v":1,"type":"forget"}`, `{"v":1,"type":"close","end":"nose"}`, `{"v":1,"type":"ready"}`,
	} {
		r.say(data)
	}
	r.say(`{"v":1,"type":"ping","seq":1}`)
	if m := r.hear(); m.Type != msgPong || m.Seq != 1 {
		t.Errorf("%+v", m)
	}
	if after := fdCount(t, l.cmd.Process.Pid); after != before {
		t.Errorf("%d descriptors are open, %d before: %v", after, before, openFDs(t, l.cmd.Process.Pid))
	}
}

func TestNothingButHelloComesFirst(t *testing.T) {
	l := startLinger(t)
	fd, err := dialSocket(t.Context(), l.path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(fd, "rude peer")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	r := &rude{c, t}
	r.say(`{"v":1,"type":"kill","seq":2}`)
	if m := r.hear(); m.Type != msgError || m.Seq != 2 || !strings.Contains(string(m.Error.Text), "before hello") {
		t.Errorf("%+v %+v", m, m.Error)
	}
	r.say(`{"v":1,"type":"hello","hello":{"min":2,"max":3}}`)
	if m := r.hear(); m.Type != msgError || !strings.Contains(string(m.Error.Text), "version 1 of the protocol only") {
		t.Errorf("%+v %+v", m, m.Error)
	}
	r.file.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := r.receive(); err != errEOF {
		t.Errorf("the connection goes on: %v", err)
	}
}

// A newer shim may say more than we understand.
func TestClientIgnoresWhatItDoesNotKnow(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(ours, "client")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newConn(theirs, "newer shim")
	if err != nil {
		t.Fatal(err)
	}
	r := &rude{s, t}
	before := fdCount(t, os.Getpid())
	r.say(`{"v":1,"type":"hello","hello":{"chosen":1,"version":"next","pid":1,"new":true},"new":[1]}`)
	r.say(`{"v":1,"type":"news","fds":["a"]}`, 0)
	r.say(`{"v":1,"type":"child","fds":["pidfd","camera","stdin","stdin"],"child":{"id":3,"pid":1,"started":5,"mood":"good"}}`, 0, 0, 0, 0)
	r.say(`{"v":1,"type":"hello-end"}`)
	var events []Event
	cl, err := connect(c, func(e Event) { events = append(events, e) }, time.Now().Add(patience), func(*Client) {})
	if err != nil {
		t.Fatal(err)
	}
	h := cl.Hello()
	if len(h.Children) != 1 || h.Children[0].ID != 3 || h.Children[0].PIDFD == nil || h.Children[0].Stdin == nil || h.Children[0].Stdout != nil {
		t.Errorf("%+v", h)
	}
	h.Children[0].close()
	r.say(`{"v":1,"type":"news","fds":["a","b"]}`, 0, 0)
	r.say(`{"v":9,"type":"news","fds":["a"]}`, 0)
	r.say(`rubbish`, 0)
	r.say(`{"v":1,"type":"exited"}`)
	r.say(`{"v":1,"type":"warning"}`)
	r.say(`{"v":1,"type":"spawned","seq":77,"fds":["stdin"]}`, 0)
	r.say(`{"v":1,"type":"empty","id":3,"stream":["/w=="]}`)
	s.close()
	<-cl.Lost()
	want := `[{"Text":"message from the shim: message of version 9; this side speaks version 1"},` +
		`{"Text":"message from the shim: malformed message: invalid character 'r' looking for beginning of value"},` +
		`{"Text":"no reason given"},`
	got, _ := json.Marshal(events)
	if !strings.HasPrefix(string(got), want) || len(events) != 4 {
		t.Errorf("%s", got)
	}
	if e, ok := events[len(events)-1].(Empty); !ok || e.Stream != "\xff" {
		t.Errorf("%+v", events)
	}
	if after := fdCount(t, os.Getpid()); after > before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
