// Package streamfile turns stream files into validated definitions, with
// errors exact to the line.
//
// A stream file is NAME.stream in one of several directories, with drop-ins in
// NAME.stream.d/*.conf. It has the syntax of systemd's unit files and one
// section, [Stream]. The manual for operators is docs/stream-file.md.
//
// The way of a file: find (which files make up a stream) → syntax (lines to
// assignments) → table (assignments to fields of a Definition) → check
// (everything a start needs, tried once) → order (what waits for what). At
// each start Resolve then makes a Launch of the Definition: variables
// expanded, environment files read anew, program found.
//
// Invariants:
//   - All errors of a stream's files are reported, not only the first, each
//     with the line it stands on. An Entry has a Definition or Errors, never
//     both.
//   - One broken file, drop-in or directory never keeps another stream from
//     loading.
//   - A Definition is immutable; Resolve may be called from any goroutine.
//   - An error never quotes what may be a secret: no word of a command, no
//     value of a variable. Other values go through Loader.Redact.
//   - Percent signs are never special: ffmpeg's own %03d and %Y need no
//     doubling.
//
// Where this package departs from systemd it is stricter: what systemd logs
// and ignores (an unknown option, a variable that does not exist) is an error
// here, for a stream that runs with half its settings helps nobody.
package streamfile
