package stream

import (
	"context"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/pump"
)

// HandOver ends the stream's goroutine and leaves its process alone: what has
// been read of its pipes is dealt with, what has not stays in them, and the
// shim gets word of everything, for the keeper that comes next. Nothing is
// asked of the stream after it.
func (s *Stream) HandOver(ctx context.Context) error {
	if err := s.ask(ctx, (*owner).handOver); err != nil {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *owner) handOver() {
	var stderr, stdout *partRecord
	if p := o.proc; p != nil {
		if p.progress != nil {
			// Half a block is not carried over: the next tells more.
			o.feedProgress(p.progress.Leave())
		}
		stderr = o.leave(p.stderr, &p.errLines, o.feedStderr)
		stdout = o.leave(p.stdout, &p.outLines, o.feedStdout)
	}
	for _, j := range o.jobs {
		if j.live {
			j.read((*pump.Source).Leave)
			j.lines.Flush(j.line)
		}
	}
	o.left = true
	o.keep()
	o.keepSeen(stderr, stdout)
}

// leave stops reading a pipe, and answers the line that has only begun.
func (o *owner) leave(s *pump.Source, lines *ffmpeg.LineSplitter, feed func([]byte)) *partRecord {
	if s == nil {
		return nil
	}
	feed(s.Leave())
	data, long := lines.Leave()
	if len(data) == 0 && !long {
		return nil
	}
	return &partRecord{Data: data, Long: long}
}
