package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// journalMatches are journalctl's arguments for the records of streams; the
// same field twice means either.
func journalMatches(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "FFKEEPER_STREAM=" + n
	}
	return out
}

// journalHas reports whether the journal has a record of one of the streams
// that we may read; with since, one not older.
func journalHas(ctx context.Context, names []string, since time.Time) bool {
	args := []string{"--quiet", "--no-pager", "--output=cat", "--output-fields=PRIORITY", "--lines=1"}
	if !since.IsZero() {
		args = append(args, "--since=@"+strconv.FormatInt(since.Unix(), 10))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", append(args, journalMatches(names)...)...).Output()
	return err == nil && len(out) > 0
}

// journalctl hands over to journalctl: its pager, its colours, its exit code.
func (a *app) journalctl(ctx context.Context, names []string, f logsFlags) error {
	var args []string
	if f.follow {
		args = append(args, "--follow")
	}
	if f.lines >= 0 {
		args = append(args, "--lines="+strconv.Itoa(f.lines))
	}
	if f.since != "" {
		args = append(args, "--since="+f.since)
	}
	if a.quiet {
		args = append(args, "--quiet")
	}
	if a.json {
		return a.journalJSON(ctx, append(append(args, "--output=json"), journalMatches(names)...), f.follow)
	}
	cmd := exec.Command("journalctl", append(args, journalMatches(names)...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	cmd.Env = a.journalEnvironment()
	// Ctrl-C goes to journalctl and its pager as well: they decide
	signal.Ignore(syscall.SIGINT)
	defer signal.Reset(syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return failf("logs: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done(): // SIGTERM and SIGHUP came to us alone
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-ended:
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			if s := status.Signal(); s == syscall.SIGINT || s == syscall.SIGPIPE || ctx.Err() != nil {
				return nil // the ways in which a follow ends
			}
		}
		return code(exitFailure)
	}
	if err != nil {
		return failf("logs: journalctl: %w", err)
	}
	return nil
}

// journalEnvironment makes systemd's tools obey --color.
func (a *app) journalEnvironment() []string {
	env := os.Environ()
	switch a.color {
	case "always":
		env = append(env, "SYSTEMD_COLORS=1")
	case "never":
		env = append(env, "SYSTEMD_COLORS=0")
	}
	return env
}

// journalLine is one record of the journal in the form of a kept line.
type journalLine struct {
	Name string `json:"name"`
	logLine
}

// journalJSON translates journalctl's JSON into ours: one list, or with
// --follow one object a line.
func (a *app) journalJSON(ctx context.Context, args []string, follow bool) error {
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.Stderr = a.err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return failf("logs: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return failf("logs: %w", err)
	}
	all := []journalLine{}
	readErr := readJournalJSON(out, func(l journalLine) error {
		if follow {
			return a.printJSON(l)
		}
		all = append(all, l)
		return nil
	})
	if readErr != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	err = cmd.Wait()
	switch {
	case readErr != nil:
		return failf("logs: journalctl: %w", readErr)
	case ctx.Err() != nil && follow:
		return nil
	case err != nil:
		return failf("logs: journalctl: %w", err)
	case follow:
		return nil
	}
	return a.printJSON(all)
}

func readJournalJSON(r io.Reader, each func(journalLine) error) error {
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var record map[string]any
		if err := dec.Decode(&record); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		l := journalLine{Name: journalText(record["FFKEEPER_STREAM"])}
		l.Text = journalText(record["MESSAGE"])
		if journalText(record["SYSLOG_IDENTIFIER"]) != l.Name {
			l.Text = strings.TrimPrefix(l.Text, l.Name+": ") // the keeper's words; the name stands beside
		}
		l.RealtimeUsec, _ = strconv.ParseUint(journalText(record["__REALTIME_TIMESTAMP"]), 10, 64)
		l.Priority = 6
		if p, err := strconv.ParseInt(journalText(record["PRIORITY"]), 10, 32); err == nil {
			l.Priority = int32(p)
		}
		if err := each(l); err != nil {
			return err
		}
	}
}

// journalText is a field's text: journalctl writes what is not UTF-8 as an
// array of byte values, and a field given twice as an array of both.
func journalText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			if _, isText := v[0].(string); isText {
				return v[0].(string)
			}
		}
		b := make([]byte, 0, len(v))
		for _, n := range v {
			if f, ok := n.(float64); ok {
				b = append(b, byte(f))
			}
		}
		return string(b)
	}
	return ""
}
