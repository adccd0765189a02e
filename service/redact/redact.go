// Package redact knows what must never be shown, and removes it.
//
// Streams carry their secrets in their command lines: the stream key is the
// last part of an RTMP URL, the camera's password stands before the @, SRT has
// a passphrase= in its query. ffmpeg repeats its URLs in ordinary messages, so
// every line it writes, every command line, every error and every record
// passes through a [Redactor] before anybody sees it.
//
// What is removed, and replaced by [Marker]:
//
//   - whatever stands before the @ of a URL's authority
//   - in URLs of the rtmp family, all that follows the application: host and
//     application stay, the stream key goes
//   - values of query parameters, options, JSON members, environment
//     variables and headers whose names tell of a secret (see names.go)
//   - the messages in which ffmpeg prints a bare stream key
//   - values registered with [Redactor.Register] or found in a command line by
//     [Redactor.Learn], wherever they appear: raw, percent-encoded or quoted,
//     and also their first half, where a buffer has cut the rest off
//
// What stays readable: scheme, host, port and path of all other URLs, so that
// operators can tell cameras apart.
//
// Invariants: where a text can be read in two ways, the reading that hides
// more is taken. Redacting twice changes nothing. No input panics, valid UTF-8
// or not, and the result is at most ten times as long. A text in which nothing
// is found is returned as it is, without an allocation.
//
// Redact whole lines and cut afterwards: half a URL may no longer look like one.
package redact

import (
	"sync"
	"sync/atomic"
)

// Marker stands where something was removed.
const Marker = "[redacted]"

// Redactor removes what must never be shown. All methods may be called from
// any goroutine at any time.
type Redactor struct {
	mu      sync.RWMutex // guards secrets and learned
	secrets secrets
	learned map[string]*lessons // by owner

	registered atomic.Int64 // how many secrets there are: most texts need no lock
}

// New returns a Redactor that knows no secrets yet, only what secrets look like.
func New() *Redactor {
	return &Redactor{learned: map[string]*lessons{}}
}

// maxPasses bounds how often one text is looked through. Each replacement can
// in theory complete a pattern that was not there before, so a changed text is
// looked at again; two passes do for all that is not built to defeat it.
const maxPasses = 8

// String returns s with everything secret replaced by [Marker]. If there is
// nothing, it returns s itself and allocates nothing.
func (r *Redactor) String(s string) string { return r.redact(s, false) }

// redact is String; with whole, s is one complete argument, so that blanks do
// not end a URL in it.
func (r *Redactor) redact(s string, whole bool) string {
	for range maxPasses {
		found := r.find(s, whole)
		if len(found) == 0 {
			return s
		}
		out, changed := replace(s, found)
		if !changed {
			return s
		}
		s = out
	}
	return Marker
}

// find returns what must be removed from s, nil if there is nothing.
func (r *Redactor) find(s string, whole bool) []span {
	found, encoded := r.findIn(s, whole, nil)
	if encoded {
		found = r.findDecoded(s, whole, 0, found)
	}
	return found
}

// findIn appends what must be removed from s taken literally, and reports
// whether there may be more under an encoding.
func (r *Redactor) findIn(s string, whole bool, found []span) (_ []span, encoded bool) {
	found, encoded = scan(s, whole, found)
	if r.registered.Load() > 0 {
		r.mu.RLock()
		found = r.secrets.find(s, found)
		r.mu.RUnlock()
	}
	return found, encoded
}

// maxEncodings is how many encodings laid one over the other are undone.
const maxEncodings = 3

// findDecoded looks at s with its percent-encoding or its quoting undone, and
// appends what it finds there in terms of s.
func (r *Redactor) findDecoded(s string, whole bool, depth int, found []span) []span {
	if depth == maxEncodings {
		return found
	}
	for _, decode := range [...]func(string) (decoded, bool){percentDecoded, unquoted} {
		d, differs := decode(s)
		if !differs {
			continue
		}
		inner, encoded := r.findIn(d.text, whole, nil)
		if encoded {
			inner = r.findDecoded(d.text, whole, depth+1, inner)
		}
		for _, f := range inner {
			found = append(found, d.source(f))
		}
	}
	return found
}

// Value redacts the value of a setting, field or variable of that name: all of
// it if the name tells of a secret, else what is secret in it.
func (r *Redactor) Value(name, value string) string {
	if value != "" && nameOf(name) >= weak && !harmless(name, value) {
		return Marker
	}
	return r.redact(value, true)
}
