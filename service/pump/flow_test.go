package pump

import (
	"bytes"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pattern answers n bytes in which every position can be told from those
// near it.
func pattern(seed, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((seed+i)*(seed+i)>>4 ^ (seed + i))
	}
	return p
}

// Many writers, owners that Take when they like, and Finish in the middle:
// whatever had been written by then comes out, in order, unchanged.
func TestBytesInAreBytesOutInOrder(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Millisecond} {
		t.Run(interval.String(), func(t *testing.T) {
			p := newPump(t, WithInterval(interval))
			var running sync.WaitGroup
			for i := range 30 {
				running.Go(func() { flow(t, p, i) })
			}
			running.Wait()
			if n := len(p.sources); n != 0 {
				t.Errorf("%d sources left", n)
			}
		})
	}
}

func flow(t *testing.T, p *Pump, seed int) {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	limit := []int{DefaultLimit, 1, 100, 5000, 200_000}[random.IntN(5)]
	text := pattern(seed, 1+random.IntN(min(400_000, 500*limit))) // 500 rounds at most
	finishAt := len(text)                                         // how much is taken before Finish
	if random.IntN(2) == 0 {
		finishAt = random.IntN(len(text))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Error(err)
		return
	}
	woken := make(chan struct{}, 1) // a latch
	s, err := p.Add(r, limit, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Error(err)
		return
	}

	var writing sync.WaitGroup
	writing.Go(func() {
		defer w.Close()
		sizes := rand.New(rand.NewPCG(uint64(seed), 2))
		for rest := text; len(rest) > 0; {
			n, err := w.Write(rest[:min(len(rest), 1+sizes.IntN(10_000))])
			if err != nil {
				return // finished
			}
			rest = rest[n:]
		}
	})

	var got, buf []byte
	for eof := false; !eof && len(got) < finishAt; {
		if random.IntN(3) > 0 {
			select {
			case <-woken:
			case <-time.After(patience):
				t.Errorf("seed %d: not woken after %d of %d bytes", seed, len(got), len(text))
				return
			}
		}
		buf, eof = s.Take(buf)
		got = append(got, buf...)
	}
	got = append(got, s.Finish()...)
	writing.Wait()
	if len(got) < finishAt || len(got) > len(text) || !bytes.Equal(got, text[:len(got)]) {
		t.Errorf("seed %d: %d bytes in, %d out, %d before Finish", seed, len(text), len(got), finishAt)
	}
}

// The input is a script: each byte is one step, taken in turn with the
// pump's, so that a failure can be found again.
func FuzzAnyOrderOfWritesTakesAndFinish(f *testing.F) {
	f.Add([]byte("\x00\x10\x80\xc0"))
	f.Add([]byte("\x3f\x3f\x3f\x3f\x80\x3f\x80\xc1\x80"))
	f.Add([]byte("\x3f\xc0\x80\x40\x80\x80"))
	f.Add([]byte("\xc1\x80\x80"))
	p, err := New(WithInterval(0))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 200)]
		text := pattern(len(script), 200*64*64)
		s := add(t, p, 1+len(script)*37%9000)
		fd := int(s.w.Fd()) // sets it blocking
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		var got, buf []byte
		sent, open := 0, true
		for _, step := range script {
			n := int(step & 63)
			switch step >> 6 {
			case 0: // write
				if !open {
					continue
				}
				// Raw: an os.File would wait for room.
				if n, err := unix.Write(fd, text[sent:sent+n*64+1]); err == nil {
					sent += n
				}
			case 1: // let the pump read
				round(t, p)
			case 2:
				buf, _ = s.Take(buf)
				got = append(got, buf...)
			case 3:
				if n == 0 {
					got = append(got, s.Finish()...)
					open = false
				} else if open {
					s.w.Close()
					open = false
				}
			}
		}
		got = append(got, s.Finish()...)
		if !bytes.Equal(got, text[:sent]) {
			t.Errorf("%d bytes in, %d out", sent, len(got))
		}
	})
}
