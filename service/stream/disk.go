package stream

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

const (
	// diskPatience is how long a disk has been full before a stream that writes
	// to it is degraded. Where old segments go as new ones come there may be
	// room for a moment.
	diskPatience = 5 * time.Second

	// maxOutputs is how many directories of one stream are watched.
	maxOutputs = 8
)

// outputDirs are the directories of the files that the command writes. ffmpeg
// itself does not tell that a disk is full: HLS goes on with empty segments,
// and its progress with it.
func outputDirs(l *streamfile.Launch) []string {
	var dirs []string
	for _, file := range ffmpeg.OutputFiles(l.Argv) {
		if !filepath.IsAbs(file) {
			file = filepath.Join("/", l.Dir, file)
		}
		if dir := filepath.Dir(file); !slices.Contains(dirs, dir) && len(dirs) < maxOutputs {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// diskFull is the first of the output's directories whose disk is full.
func (o *owner) diskFull() string {
	if o.cfg.FullSince == nil {
		return ""
	}
	full := ""
	for _, dir := range o.proc.outputs { // all are asked for, so that all are looked at
		if since := o.cfg.FullSince(dir); full == "" && !since.IsZero() && time.Since(since) >= diskPatience {
			full = o.cfg.Redact.String(dir)
		}
	}
	return full
}

// sample is what the machine is told of the process, now that u is known of it.
func (o *owner) sample(u *Usage) evSample {
	return evSample{noReader: o.proc.noReader(), hindered: o.hindrance(u), full: o.diskFull()}
}
