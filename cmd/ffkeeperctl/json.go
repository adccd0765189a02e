package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// writeJSON writes v in one line. encoding/json leaves DEL, C1 and the
// bidirectional controls as they are; they are escaped here, which changes no
// value, for JSON too is looked at in terminals.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeUnsafe(b.Bytes()))
	return err
}

// escapeUnsafe replaces unsafe runes, which valid JSON has only inside
// strings. The newline at the end is the encoder's.
func escapeUnsafe(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r != '\n' && unsafeRune(r) {
			if out == nil {
				out = append(make([]byte, 0, len(b)+32), b[:i]...)
			}
			out = fmt.Appendf(out, `\u%04x`, r)
		} else if out != nil {
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	if out == nil {
		return b
	}
	return out
}

// printJSON writes v to stdout.
func (a *app) printJSON(v any) error {
	if err := writeJSON(a.out, v); err != nil {
		return fail(err)
	}
	return nil
}

// orEmpty makes null an empty list: scripts need not ask.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
