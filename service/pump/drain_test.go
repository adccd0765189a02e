package pump

import (
	"bytes"
	"testing"
	"time"
)

func TestDrainAnswersBufferAndPipeAndGoesOn(t *testing.T) {
	p := newPump(t, WithInterval(time.Hour)) // reads once, then never again
	s := add(t, p, 0)
	s.write(t, "read by the pump, ")
	s.wait(t)
	s.write(t, "still in the pipe, ")
	got := string(s.Drain())
	s.write(t, "written later")
	if got += string(s.Drain()); got != "read by the pump, still in the pipe, written later" {
		t.Errorf("got %q", got)
	}
	if got := s.Drain(); len(got) != 0 {
		t.Errorf("got %q from an empty pipe", got)
	}
}

func TestDrainedSourceIsReadAndWakesAgain(t *testing.T) {
	p := newPump(t, WithInterval(0))
	s := add(t, p, 10)
	text := bytes.Repeat([]byte("0123456789"), 3)
	s.write(t, string(text)) // full: no longer watched
	s.wait(t)
	if got := s.Drain(); !bytes.Equal(got, text) {
		t.Fatalf("got %q", got)
	}
	s.write(t, "more")
	s.w.Close()
	var got []byte
	for eof := false; !eof; {
		s.wait(t)
		var data []byte
		data, eof = s.Take(nil)
		got = append(got, data...)
	}
	if string(got) != "more" {
		t.Errorf("got %q", got)
	}
	if got := s.Drain(); len(got) != 0 {
		t.Errorf("got %q after end of file", got)
	}
}

func TestDrainEndsThoughTheWriterFloods(t *testing.T) {
	s := add(t, newPump(t), 0)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for chunk := make([]byte, 64<<10); ; {
			if _, err := s.w.Write(chunk); err != nil {
				return
			}
		}
	}()
	s.wait(t)
	if n := len(s.Drain()); n > FinishBound+DefaultLimit {
		t.Errorf("got %d bytes", n)
	}
	s.Finish()
	<-stopped
}
