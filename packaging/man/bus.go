package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// member is a method, property or signal of an interface.
type member struct {
	kind, name string
	parts      []string // "in s name", "type u"
	comment    string
}

// bus is the description of the bus as Markdown: the comment at its head, then
// each interface with its members, each with the comment before it, and at last
// the comments behind them.
func bus(description []byte) (string, error) {
	var b strings.Builder
	var members []member
	whole, comment, iface := "", "", ""
	d := xml.NewDecoder(bytes.NewReader(description))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.Comment:
			whole = string(t)
			comment = strings.Join(strings.Fields(string(t)), " ")
		case xml.StartElement:
			switch name := attribute(t, "name"); t.Name.Local {
			case "node":
				// A line that ends a sentence ends a paragraph.
				for line := range strings.Lines(whole) {
					line = strings.TrimSpace(line)
					b.WriteString(line + "\n")
					if strings.HasSuffix(line, ".") {
						b.WriteString("\n")
					}
				}
				comment = ""
			case "interface":
				iface = name
			case "method", "property", "signal":
				m := member{kind: t.Name.Local, name: name, comment: comment}
				if t.Name.Local == "property" {
					m.parts = append(m.parts, "type `"+attribute(t, "type")+"`")
				}
				members = append(members, m)
				comment = ""
			case "arg":
				m := &members[len(members)-1]
				direction := attribute(t, "direction")
				m.parts = append(m.parts, strings.TrimSpace(direction+" `"+attribute(t, "type")+"` "+name))
			case "annotation":
				if m := &members[len(members)-1]; attribute(t, "value") == "const" {
					m.parts = append(m.parts, "never changes")
				}
			}
		case xml.EndElement:
			if t.Name.Local == "interface" {
				writeInterface(&b, iface, members)
				members = nil
			}
		}
	}
	if text, ok := strings.CutPrefix(comment, "errors: "); ok {
		// Blanks, so that the list of names can be broken into lines.
		text = strings.ReplaceAll(strings.ReplaceAll(text, ", ", ","), ",", ", ")
		fmt.Fprintf(&b, "## Errors\n%s\n\n", sentence(text))
	}
	return b.String(), nil
}

func writeInterface(b *strings.Builder, name string, members []member) {
	fmt.Fprintf(b, "## %s\n", name)
	for _, kind := range []string{"method", "property", "signal"} {
		head := false
		for _, m := range members {
			if m.kind != kind {
				continue
			}
			if !head {
				title := map[string]string{"method": "Methods", "property": "Properties", "signal": "Signals"}[kind]
				fmt.Fprintf(b, "\n### %s\n| member | | |\n|---|---|---|\n", title)
				head = true
			}
			parts := strings.Join(m.parts, ", ")
			if parts == "" {
				parts = "no arguments"
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", m.name, parts, strings.ReplaceAll(sentence(m.comment), "|", `\|`))
		}
	}
	b.WriteString("\n")
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return upperFirst(text)
	}
	return upperFirst(text) + "."
}
