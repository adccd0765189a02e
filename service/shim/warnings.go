package shim

import (
	"fmt"
	"io"
)

// warn tells the keeper something to be logged, or stderr where there is none.
// It never blocks: nobody may be reading there.
func (s *Server) warn(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if s.keeper != nil && s.keeper.greeted {
		s.keeper.send(&message{Type: msgWarning, Error: toWire(err)})
		return
	}
	select {
	case s.log <- err.Error():
	default:
	}
}

// logTo writes warnings until the server has ended, the last ones too.
func (s *Server) logTo(w io.Writer) {
	write := func(text string) { fmt.Fprintln(w, "ffkeeper-shim:", text) }
	for {
		select {
		case text := <-s.log:
			write(text)
		case <-s.done:
			for len(s.log) > 0 { // nobody adds to it any more
				write(<-s.log)
			}
			return
		}
	}
}
