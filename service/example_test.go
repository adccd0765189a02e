package service_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// A program keeps one stream on air by itself: the command is built in Go, the
// shim runs in this process, data goes in through stdin.
func Example() {
	keeper, err := service.New(service.Options{Log: slog.NewTextHandler(io.Discard, nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keeper.Close()

	def := streamfile.New("upper", nil)
	def.Type = streamfile.TypeSimple
	def.StandardInput = streamfile.StdinPipe
	def.RestartSec = 10 * time.Millisecond

	restarted := make(chan *stream.Snapshot, 1)
	err = keeper.Add(def, service.Hooks{
		Command: func(context.Context) ([]string, error) {
			return []string{"sh", "-c", "read line; echo heard $line; exec sleep 1000"}, nil
		},
		OnRestart: func(s *stream.Snapshot) { restarted <- s },
		OnFailure: func(s *stream.Snapshot) { fmt.Println("failed:", s.Reason) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := keeper.Start(ctx, "upper", service.CallOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	n, err := keeper.WriteStdin(ctx, "upper", []byte("hello\n"))
	fmt.Println("taken:", n, err)

	s, _ := keeper.Snapshot("upper")
	for len(s.Lines) == 0 { // lines come with the snapshot, they are no events
		time.Sleep(time.Millisecond)
		s, _ = keeper.Snapshot("upper")
	}
	fmt.Println(s.State, s.Health, s.Lines[0].Text)

	// It is started again when it ends unasked.
	keeper.Kill(ctx, "upper", 9)
	fmt.Println("restarts:", (<-restarted).RestartCount)

	fmt.Println(keeper.Stop(ctx, "upper", service.CallOptions{}))
	s, _ = keeper.Snapshot("upper")
	fmt.Println(s.State, s.ExitCodes[0])
	// Output:
	// taken: 6 <nil>
	// running ok heard hello
	// restarts: 1
	// <nil>
	// stopped -9
}
