package shim

import (
	"os"
	"time"
)

// sweeper reaps the orphans that come to a process with a launched shim, and
// kills what that shim leaves behind should it be killed. It is a server that
// holds no children until then.
type sweeper struct {
	s    *Server
	stop func()
}

func newSweeper() (*sweeper, error) {
	quit := make(chan os.Signal)
	s, err := NewServer(Config{inProcess: true, Stop: quit})
	if err != nil {
		return nil, err
	}
	go s.run()
	return &sweeper{s: s, stop: func() { close(quit) }}, nil
}

// sweep kills what is left of the children that a lost shim held, and returns
// when it is gone, or in uninterruptible sleep. The shim's own children were
// killed by the kernel when it died.
func (w *sweeper) sweep(held map[ID]holding) {
	defer w.stop()
	gone := make(chan struct{})
	w.s.post(func() {
		for id, h := range held {
			if h.empty {
				continue
			}
			c := &child{
				id: id, stream: h.stream, pid: h.pid, ticks: h.ticks, fd: -1,
				exited: &Exited{ID: id, Unknown: true}, lost: true, forgotten: true,
			}
			w.s.children[id], w.s.live[id] = c, c
			w.s.byGroup[h.pid] = c
		}
		// Whom SIGCHLD has made known already was nobody's before now.
		clear(w.s.orphans)
		w.s.reap(true)
		for _, c := range w.s.sorted() {
			w.s.kill(c)
		}
		w.s.whenEmpty(func() { close(gone) })
	})
	select {
	case <-gone:
	case <-time.After(killWait):
	}
}
