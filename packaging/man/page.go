package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// page is the text of one manual page in man(7). root is that of the sources,
// source the Markdown of the page.
func page(root, source string) (string, error) {
	b, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	text, err := expand(root, string(b))
	if err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	name := pageName(source)
	dot := strings.LastIndexByte(name, '.')
	return header(name[:dot], name[dot+1:]) + roff(parse(text)), nil
}

// expand replaces the lines that include something else:
//
//	<!-- include docs/settings.md -->   a file, without its title
//	<!-- include docs/x.md one deeper -->   and each heading a level deeper
//	<!-- events -->                     the table of events
//	<!-- bus -->                        org.ffkeeper1.xml
func expand(root, text string) (string, error) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "<!--"), "-->"))
		if !strings.HasPrefix(line, "<!--") || len(words) == 0 {
			b.WriteString(line)
			continue
		}
		switch words[0] {
		case "include":
			included, err := os.ReadFile(filepath.Join(root, words[1]))
			if err != nil {
				return "", err
			}
			_, body, _ := strings.Cut(string(included), "\n")
			if len(words) > 2 {
				body = deeper(body)
			}
			b.WriteString(body)
		case "events":
			b.WriteString(events())
		case "bus":
			description, err := os.ReadFile(filepath.Join(root, "dbusapi/org.ffkeeper1.xml"))
			if err != nil {
				return "", err
			}
			body, err := bus(description)
			if err != nil {
				return "", err
			}
			b.WriteString(body)
		default:
			return "", fmt.Errorf("nothing is known of %s", strings.TrimSpace(line))
		}
	}
	return b.String(), nil
}

// deeper makes each heading one of the next level.
func deeper(text string) string {
	var b strings.Builder
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if strings.HasPrefix(line, "#") && !code {
			b.WriteByte('#')
		}
		b.WriteString(line)
	}
	return b.String()
}

// events is a table of all events of streams.
func events() string {
	priorities := []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	var b strings.Builder
	b.WriteString("| event | value | MESSAGE_ID | meaning |\n|---|---|---|---|\n")
	for _, e := range stream.EventKinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Kind, priorities[e.Priority], e.MessageID,
			strings.TrimSpace(e.Meaning+" "+e.Remedy))
	}
	return b.String()
}
