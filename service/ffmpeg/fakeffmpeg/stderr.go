package main

import (
	"os"
	"strconv"
)

// level is a log level; larger says more.
type level uint8

const (
	levelNone level = iota
	levelPanic
	levelFatal
	levelError
	levelWarning
	levelInfo
	levelVerbose
	levelDebug
	levelTrace
)

var levelNames = [...]string{"quiet", "panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace"}

func levelByName(name string) (level, bool) {
	for i, n := range levelNames {
		if n == name {
			return level(i), true
		}
	}
	return 0, false
}

// die ends at once with a message, before the log level is known.
func die(code int, text string) {
	write(2, []byte(text))
	os.Exit(code)
}

// line begins a log line in b.
func (f *fake) line(b []byte, l level, context string) []byte {
	b = append(b, context...)
	if f.cmd.tags {
		b = append(b, '[')
		b = append(b, levelNames[l]...)
		b = append(b, "] "...)
	}
	return b
}

// log writes one line to stderr, if the log level lets it.
func (f *fake) log(l level, text string) {
	if l > f.cmd.level {
		return
	}
	b := f.line(f.buf[:0], l, "")
	b = append(b, text...)
	write(2, append(b, '\n'))
}

// lines writes several at once: a start is to be quick.
func (f *fake) logAll(l level, texts ...string) {
	if l > f.cmd.level {
		return
	}
	b := f.buf[:0]
	for _, text := range texts {
		b = f.line(b, l, "")
		b = append(b, text...)
		b = append(b, '\n')
	}
	write(2, b)
}

func (f *fake) banner() {
	if !f.cmd.hideBanner {
		f.log(levelInfo, "ffmpeg version 5.1-fake Copyright (c) the FFmpeg developers, who are not to blame")
	}
	if f.cmd.hasPeriod {
		f.log(levelInfo, "ffmpeg stats and -progress period set to "+
			strconv.FormatFloat(f.cmd.period.Seconds(), 'g', -1, 64)+".")
	}
}

// describe says what is open, as ffmpeg does before its first block.
func (f *fake) describe() {
	f.log(levelInfo, "Stream mapping:")
	f.log(levelInfo, "  Stream #0:0 -> #0:0 (copy)")
	if f.keys.on {
		f.log(levelInfo, "Press [q] to stop, [?] for help")
	}
	for i, out := range f.cmd.outputs {
		f.log(levelInfo, "Output #"+strconv.Itoa(i)+", "+formatOf(out)+", to '"+shownURL(out.url)+"':")
		f.log(levelInfo, "  Stream #"+strconv.Itoa(i)+":0: Fake")
	}
	if f.modes.secrets {
		url := shownURL(f.cmd.outputs[0].url)
		f.log(levelError, url+": Connection refused")
		f.log(levelError, "Error writing trailer of "+url+": Broken pipe")
		f.log(levelError, "Error closing file "+url+": Input/output error")
	}
	if f.modes.flood {
		go f.flood()
	}
}

// flood writes without end, as fast as it is read.
func (f *fake) flood() {
	const text = "This is line after line of the same, as fast as anyone will take it"
	b := make([]byte, 0, 64<<10)
	for len(b)+len(text)+32 < cap(b) {
		b = f.line(b, levelWarning, "[flood @ 0x55d0f100d000] ")
		b = append(append(b, text...), '\n')
	}
	for write(2, b) {
	}
}

// oddLines are the lines that come once.
func (f *fake) oddLines() {
	if f.modes.longLine > 0 {
		b := f.line(nil, levelInfo, "")
		for len(b) < f.modes.longLine {
			b = append(b, "all work and no play "...)
		}
		write(2, append(b[:f.modes.longLine], '\n'))
	}
	if f.modes.badUTF8 {
		b := f.line(nil, levelWarning, "")
		write(2, append(b, "title: caf\xe9 \xff\xfe\xc0\xaf \xed\xa0\x80 end\n"...))
	}
}
