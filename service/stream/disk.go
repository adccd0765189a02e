package stream

import (
	"path/filepath"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

const (
	// diskPatience is how long a disk has been full before a stream that writes
	// to it is degraded. Where old segments go as new ones come there may be
	// room for a moment.
	diskPatience = 5 * time.Second

	// maxOutputs is how many files of one stream are watched.
	maxOutputs = 8
)

// outputFiles are the files that the command writes. ffmpeg itself does not tell
// that a disk is full when it makes HLS: it goes on with empty segments, and its
// progress with it.
func outputFiles(l *streamfile.Launch) []string {
	files := ffmpeg.OutputFiles(l.Argv)
	files = files[:min(len(files), maxOutputs)]
	for i, file := range files {
		if !filepath.IsAbs(file) {
			files[i] = filepath.Join("/", l.Dir, file)
		}
	}
	return files
}

// diskFull is the directory of the first output whose disk is full. Once it is,
// it stays so until there is room: a new keeper's first looks prove nothing yet.
func (o *owner) diskFull() string {
	if o.cfg.Room == nil {
		return ""
	}
	full := ""
	for _, file := range o.proc.outputs { // all of them, so that all are looked at
		room := o.cfg.Room(file)
		dir := o.cfg.Redact.String(filepath.Dir(file))
		still := o.m.diskFull == dir && (room.Full || !room.Known)
		if full == "" && (still || room.Full && room.For >= diskPatience) {
			full = dir
		}
	}
	return full
}

// sample is what the machine is told of the process, now that u is known of it.
func (o *owner) sample(u *Usage) evSample {
	return evSample{noReader: o.proc.noReader(), hindered: o.hindrance(u), full: o.diskFull()}
}
