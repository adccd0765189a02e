// Command journal prints the journal catalog, which journalctl -x shows beside
// the records of streams. It is made from the table of events in
// service/stream and the table of reasons here:
//
//	go run ./packaging/journal > packaging/journal/ffkeeper.catalog
//
// A test holds the file against it.
package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

func main() {
	fmt.Print(catalog())
}

// catalog is the text of the catalog; its format is that of
// https://systemd.io/CATALOG.
func catalog() string {
	var b strings.Builder
	b.WriteString(`# Journal catalog of ffkeeper, made by: go run ./packaging/journal
# journalctl -x shows the entries beside the records they explain.
`)
	for _, e := range stream.EventKinds() {
		fmt.Fprintf(&b, `
-- %s
Subject: Stream @FFKEEPER_STREAM@: %s
Defined-By: ffkeeper
Support: https://github.com/ffkeeper/ffkeeper/issues

%s
`, e.MessageID, strings.ReplaceAll(string(e.Kind), "-", " "), fold(e.Meaning))
		if e.Remedy != "" {
			fmt.Fprintf(&b, "\n%s\n", fold(e.Remedy))
		}
		if list := reasonsOf(e.Kind); len(list) > 0 {
			b.WriteString("\nThe reason is @FFKEEPER_REASON@, one of:\n")
			for _, r := range list {
				fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(fold(string(r.Reason)+": "+r.Meaning), "\n", "\n    "))
			}
		}
		fmt.Fprintf(&b, "\nThe whole story: journalctl FFKEEPER_STREAM=@FFKEEPER_STREAM@\n")
	}
	return b.String()
}

func reasonsOf(k stream.Kind) []reason {
	var list []reason
	for _, r := range reasons() {
		if slices.Contains(r.In, k) {
			list = append(list, r)
		}
	}
	return list
}

// fold breaks text into lines of at most 76 bytes.
func fold(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > 76:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
