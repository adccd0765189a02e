package main

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// defaultStreamPath is FFKEEPER_STREAM_PATH where it is not set.
const defaultStreamPath = "/etc/ffkeeper/streams.d:/run/ffkeeper-streams.d:/usr/lib/ffkeeper/streams.d"

// loader reads stream files as the keeper does, with the same settings. What
// errors quote is not redacted: whoever runs us can read the files.
func loader() *streamfile.Loader {
	var path []string
	for _, dir := range strings.Split(envOr("FFKEEPER_STREAM_PATH", defaultStreamPath), ":") {
		if dir != "" {
			path = append(path, dir)
		}
	}
	return &streamfile.Loader{Path: path, FFmpeg: os.Getenv("FFKEEPER_FFMPEG")}
}

// fileCompletions are the streams that there are files of.
func fileCompletions() []completion {
	set := loader().Load()
	var out []completion
	for _, name := range slices.Sorted(maps.Keys(set.Streams)) {
		c := completion{name: name}
		if d := set.Streams[name].Definition; d != nil {
			c.description = d.Description
		}
		out = append(out, c)
	}
	return out
}

// fileErrors are the errors, or with warning the warnings, of one stream's or
// of no stream's files.
func fileErrors(errs []*streamfile.Error, warning bool) []fileError {
	out := make([]fileError, len(errs))
	for i, e := range errs {
		place := *e
		place.File, place.Line, place.Stream = "", 0, ""
		out[i] = fileError{
			Name: e.Stream, File: e.File, Line: e.Line, Text: place.Error(), Warning: warning,
			whole: e.Error(),
		}
	}
	return out
}
