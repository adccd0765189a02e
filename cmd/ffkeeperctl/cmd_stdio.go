package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

func (a *app) writeStdinCommand() *cobra.Command {
	var eof bool
	c := &cobra.Command{
		Use:   "write-stdin NAME",
		Short: "Copy standard input to a stream's",
		Long: `Copy what is read from standard input into that of the stream, as fast as it
takes it. The stream's input stays open at the end, so that others may go on
writing; with --eof it is told that nothing more comes, which lets ffmpeg
finish its files and end.`,
		Args:              oneName,
		ValidArgsFunction: a.completeStreams,
		RunE: a.asking(func(ctx context.Context, k *keeper, args []string) error {
			name, err := k.oneOf(ctx, "write-stdin", args[0])
			if err != nil {
				return err
			}
			f, err := k.openStdin(ctx, name)
			if err != nil {
				return explain("write-stdin "+name, err)
			}
			defer f.Close()
			if err := copyUntil(ctx, f, a.in); err != nil {
				if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
					return failf("write-stdin %s: the stream no longer reads (ffkeeperctl status %s tells why)", name, name)
				}
				return failf("write-stdin %s: %w", name, err)
			}
			if eof {
				if err := shutdownWrite(f); err != nil {
					return failf("write-stdin %s: --eof: %w", name, err)
				}
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&eof, "eof", false, "tell the stream at the end that nothing more comes")
	return c
}

func (a *app) readStdoutCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "read-stdout NAME",
		Short: "Copy a stream's standard output to ours",
		Long: `Copy what the stream writes to its standard output, until it ends or Ctrl-C.
The bytes come as they are, so they are not let onto a terminal without
--force.`,
		Args:              oneName,
		Annotations:       endless(),
		ValidArgsFunction: a.completeStreams,
		RunE: a.asking(func(ctx context.Context, k *keeper, args []string) error {
			name, err := k.oneOf(ctx, "read-stdout", args[0])
			if err != nil {
				return err
			}
			if _, terminal := terminalOf(a.out); terminal && !force {
				return failf("read-stdout %s: standard output is a terminal; redirect it to a file or a program (or give --force)", name)
			}
			f, err := k.openStdout(ctx, name)
			if err != nil {
				return explain("read-stdout "+name, err)
			}
			defer f.Close()
			if err := copyUntil(ctx, a.out, f); err != nil {
				return failf("read-stdout %s: %w", name, err)
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&force, "force", false, "also to a terminal")
	return c
}

func oneName(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usagef("no stream named")
	case len(args) > 1:
		return usagef("one stream at a time: %s", args[1])
	}
	return nil
}

// copyUntil copies until the end of src, an error, or the end of ctx. A file
// may be blocking (an fd from D-Bus shares its description with
// whoever else holds it, and is not changed), so at the end of ctx the copy is
// left behind, and ends with the program.
func copyUntil(ctx context.Context, dst io.Writer, src io.Reader) error {
	ended := make(chan error, 1)
	go func() {
		// not *os.File itself: splice and sendfile would be tried on sockets
		// and pipes in all combinations, for nothing that shows
		_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 256<<10))
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shutdownWrite ends the stream's input, whoever else holds it open too.
func shutdownWrite(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) }); err != nil {
		return err
	}
	if errors.Is(failed, syscall.ENOTSOCK) {
		return errors.New("the stream opens /dev/stdin, whose end only a stop can tell")
	}
	return failed
}
