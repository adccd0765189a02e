package main

import "strings"

// renderChange is one change of a reload; its detail may have a line for each
// error of a file.
func renderChange(c change) []line {
	details := strings.Split(strings.TrimRight(c.Detail, "\n"), "\n")
	st := plain
	switch c.Change {
	case "error":
		st = red
	case "added":
		st = green
	case "changed":
		st = yellow
	}
	first := line{{st, c.Change}, {plain, " "}, {bold, c.Name}}
	if details[0] != "" {
		first = append(first, piece{plain, ": " + details[0]})
	}
	out := []line{first}
	for _, d := range details[1:] {
		out = append(out, text("  "+d))
	}
	return out
}
