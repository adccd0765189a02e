package journal

import (
	"context"
	"log/slog"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const ordinaryLine = "[hls @ 0x55702a4c4d40] [info] Opening '/srv/streams/cam1/segment-00042.ts.tmp' for writing, next 00043"

// nowhere is a sink that takes everything.
type nowhere struct{}

func (nowhere) send(b *batch, from int) (done, lost int) { return len(b.records) - from, 0 }
func (nowhere) close()                                   {}

// What a stream's goroutine pays for a line.
func BenchmarkHandle(b *testing.B) {
	for _, bb := range []struct {
		kind string
		form form
	}{{KindJournal, native{}}, {KindText, text{}}, {KindJSON, newJSON(nil)}} {
		b.Run(bb.kind, func(b *testing.B) {
			h := start(bb.kind, slog.LevelInfo, bb.form, nowhere{})
			defer h.Close(context.Background())
			l := slog.New(h).With(FieldStream, "cam1", FieldIdentifier, "cam1", FieldPID, 4711)
			b.ReportAllocs()
			for b.Loop() {
				l.LogAttrs(context.Background(), slog.LevelInfo, ordinaryLine)
			}
		})
	}
}

func TestHandleAllocatesNothing(t *testing.T) {
	for kind, f := range map[string]form{KindJournal: native{}, KindText: text{}} {
		h := closing(t, start(kind, slog.LevelInfo, f, nowhere{}))
		l := slog.New(h).With(FieldStream, "cam1", FieldIdentifier, "cam1", FieldPID, 4711)
		ctx := context.Background()
		n := testing.AllocsPerRun(1000, func() { l.LogAttrs(ctx, slog.LevelInfo, ordinaryLine, slog.Int("n", 1)) })
		if n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// What a record costs on its way into journald, when many come at once: the
// CPU time of this process, for the time is journald's.
func BenchmarkSend(b *testing.B) {
	j := startJournald(b)
	record := native{}.withAttrs([]slog.Attr{slog.String(FieldStream, "cam1"), slog.String(FieldIdentifier, "cam1"), slog.Int(FieldPID, 4711)}).
		append(nil, slog.NewRecord(time.Now(), slog.LevelInfo, ordinaryLine, 0))
	s := newSocket(j.socket)
	defer s.close()
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		for s.sendOne(record) != nil {
			time.Sleep(firstPause)
		}
	}
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkSteady is what the keeper pays for so many lines a second, from 300
// streams, into a real journald: the part of a core that this process uses.
func BenchmarkSteady(b *testing.B) {
	for _, rate := range []int{300, 1000} {
		b.Run(strconv.Itoa(rate), func(b *testing.B) {
			j := startJournald(b)
			h, err := newJournal(j.socket, slog.LevelInfo)
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close(context.Background())
			var loggers []*slog.Logger
			for i := range 300 {
				name := "cam" + strconv.Itoa(i)
				loggers = append(loggers, slog.New(h).With(FieldStream, name, FieldIdentifier, name, FieldPID, i))
			}
			// The pump wakes up fifty times a second, and the lines come then.
			const wakeups, seconds = 50, 3
			for b.Loop() {
				idle := steady(wakeups*seconds, func() {})
				n := 0
				busy := steady(wakeups*seconds, func() {
					for range rate / wakeups {
						loggers[n%len(loggers)].LogAttrs(context.Background(), slog.LevelInfo, ordinaryLine)
						n++
					}
				})
				b.ReportMetric(100*(busy-idle).Seconds()/seconds, "%core")
				b.ReportMetric(100*idle.Seconds()/seconds, "%core-of-wakeups")
			}
			if n := h.Dropped(); n > 0 {
				b.Errorf("%d records dropped", n)
			}
		})
	}
}

// steady calls f 50 times a second and returns the CPU time that this process
// took meanwhile.
func steady(times int, f func()) time.Duration {
	before := cpuTime()
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for range times {
		<-tick.C
		f()
	}
	return cpuTime() - before
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
