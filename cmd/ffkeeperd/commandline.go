package main

import (
	"fmt"
	"io"
	"strings"
)

// commandLine handles what ffkeeperd does besides serving. With done true the
// program exits with code at once: a flag was answered on stdout, or a wrong
// flag or setting was named on stderr, a line each.
func commandLine(version string, args, environ []string, stdout, stderr io.Writer) (s Settings, done bool, code int) {
	check := false
	for _, arg := range args {
		switch arg {
		case "-h", "--help":
			fmt.Fprint(stdout, helpText())
			return s, true, 0
		case "--version":
			fmt.Fprintln(stdout, "ffkeeperd "+version)
			return s, true, 0
		case "--check-settings":
			check = true
		default:
			fmt.Fprintf(stderr, "ffkeeperd: no such argument: %s; see ffkeeperd --help\n", shown(arg))
			return s, true, 2
		}
	}
	s, warnings, err := parseSettings(environ)
	for _, w := range warnings {
		fmt.Fprintln(stderr, "ffkeeperd: "+w)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(stderr, "ffkeeperd: "+strings.TrimSuffix(line, "\n"))
		}
		return s, true, exitConfig
	}
	if check {
		fmt.Fprint(stdout, effective(environ))
		return s, true, 0
	}
	return s, false, 0
}

func helpText() string {
	var b strings.Builder
	b.WriteString(`Usage: ffkeeperd [--help | --version | --check-settings]

Keeps the streams of its stream files on air. It is controlled over D-Bus, see
ffkeeperctl --help, and set up by environment variables:

`)
	for _, row := range settingsTable() {
		fmt.Fprintf(&b, "%s\n    default: %s\n    allowed: %s\n%s\n", row.Name, row.Default, row.Allowed, indented(row.Meaning))
	}
	b.WriteString(`--check-settings prints the settings in force. A wrong setting ends ffkeeperd
with exit code 78, a wrong argument with 2. It ends with 75 where it was told
to end and has left its streams running for the next keeper: a service told so
by SIGTERM or a restart, not by systemctl stop.
`)
	return b.String()
}

// indented folds text to 80 columns behind four spaces.
func indented(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		if column == 0 || column+1+len(word) > 80 {
			if column > 0 {
				b.WriteByte('\n')
			}
			b.WriteString("    " + word)
			column = 4 + len(word)
			continue
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteByte('\n')
	return b.String()
}

// effective shows every setting as it is in force, in the form of
// /etc/default/ffkeeper: those not set are comments.
func effective(environ []string) string {
	values, given := completed(environ)
	var b strings.Builder
	for _, row := range settingsTable() {
		mark := ""
		if given[row.Name] == "" {
			mark = "#"
		}
		fmt.Fprintf(&b, "%s%s=%s\n", mark, row.Name, shown(values[row.Name]))
	}
	return b.String()
}
