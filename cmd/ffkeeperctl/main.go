// Ffkeeperctl shows and controls the streams of ffkeeperd, as systemctl,
// busctl and journalctl do for units.
//
// It is a client and holds no policy: what it knows of streams it asks the
// keeper for over D-Bus (dbusapi/client), except verify, cat and completion
// without a keeper, which read the stream files (service/streamfile), and
// import, which makes some of others' files (importer).
//
// A command is one function in a cmd_*.go file. It asks for data (keeper.go),
// turns it into a view (view.go), and either prints that as JSON or renders it
// into lines (render_*.go, pure), which a printer (line.go) writes. Everything
// that comes from outside passes the printer, so nothing a stream says can
// reach the terminal as a control sequence.
package main

import (
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; it answers the exit code. Colours, widths, keys
// and progress appear only where the streams given are terminals.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(stdin, stdout, stderr)
	return a.finish(a.execute(args))
}
