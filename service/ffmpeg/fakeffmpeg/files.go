package main

import (
	"strconv"
	"strings"
	"syscall"
)

// output is the first output: a file with a header, a body that grows, and a
// trailer, or stdout, or nothing.
type output struct {
	fd     int // -1: nothing is written
	stdout bool
	null   bool // the muxer does not say its size
	list   bool // an HLS playlist
	size   uint64
}

const (
	header  = "ftypisom mdat " // of a fake mp4
	trailer = "moov"
)

// local reports whether url is a file of this machine.
func local(url string) (path string, ok bool) {
	if rest, is := strings.CutPrefix(url, "file:"); is {
		return rest, true
	}
	if url == "-" || strings.Contains(url, ":") {
		return "", false
	}
	return url, true
}

// shownURL is how ffmpeg names it in its log.
func shownURL(url string) string {
	if url == "-" {
		return "pipe:"
	}
	return url
}

func formatOf(out file) string {
	if out.format != "" {
		return out.format
	}
	if i := strings.LastIndexByte(out.url, '.'); i >= 0 {
		return out.url[i+1:]
	}
	return "unknown"
}

// dieAtStart fails a start, if the modes ask for it.
func (f *fake) dieAtStart() {
	m := &f.modes
	if m.exitNow >= 0 {
		f.log(levelError, "fake: exiting at once with code "+strconv.Itoa(m.exitNow))
		f.exit(m.exitNow)
	}
	if m.dieTimes == 0 {
		return
	}
	starts := 0
	var buf [16]byte
	if fd, err := syscall.Open(m.dieFile, syscall.O_RDONLY, 0); err == nil {
		n, _ := syscall.Read(fd, buf[:])
		starts, _ = strconv.Atoi(string(buf[:max(n, 0)]))
		syscall.Close(fd)
	}
	if starts >= m.dieTimes {
		return
	}
	starts++
	fd, err := syscall.Open(m.dieFile, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o644)
	if err != nil {
		die(2, "[fatal] fakeffmpeg: cannot write "+m.dieFile+": "+err.Error()+"\n")
	}
	write(fd, strconv.AppendInt(nil, int64(starts), 10))
	f.log(levelError, "fake: start "+strconv.Itoa(starts)+" of "+strconv.Itoa(m.dieTimes)+" that fail")
	f.exit(max(m.exitCode, 1))
}

// openInputs fails on an input file that is not there, and finds what stdin is
// for.
func (f *fake) openInputs() {
	f.keys.on = f.cmd.stdin
	for i, in := range f.cmd.inputs {
		switch {
		case in.url == "-", in.url == "pipe:", in.url == "pipe:0":
			f.keys.on, f.data.on = false, true
		case strings.HasPrefix(in.url, "pipe:"), strings.HasPrefix(in.url, "fd:"):
			f.keys.on = false
		case in.url == "/dev/stdin":
			f.keys.on, f.data.on = false, true
			f.openStdin()
		case in.format == "":
			if path, ok := local(in.url); ok {
				if err := syscall.Access(path, 4 /* R_OK */); err != nil {
					f.log(levelError, in.url+": "+strerror(err))
					f.exit(1)
				}
			}
		}
		f.logAll(levelInfo,
			"Input #"+strconv.Itoa(i)+", "+formatOf(in)+", from '"+shownURL(in.url)+"':",
			"  Duration: N/A, start: 0.000000, bitrate: N/A")
	}
}

// openStdin opens fd 0 anew by its name, which a socket does not allow.
func (f *fake) openStdin() {
	fd, err := syscall.Open("/dev/stdin", syscall.O_RDONLY, 0)
	if err != nil {
		f.log(levelError, "/dev/stdin: "+strerror(err))
		f.exit(1)
	}
	f.data.fd = fd
}

// openOutputs opens the first output, and asks or fails for each that exists.
func (f *fake) openOutputs() {
	f.out.fd = -1
	for i, out := range f.cmd.outputs {
		path, isFile := local(out.url)
		isFile = isFile && out.format != "null" && out.format != "tee"
		if isFile {
			f.guard(out.url, path)
			fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_CLOEXEC, 0o644)
			if err != nil {
				f.log(levelError, out.url+": "+strerror(err))
				f.exit(1)
			}
			if i == 0 {
				f.out.fd = fd
				f.out.list = strings.HasSuffix(path, ".m3u8")
			}
		}
		if i > 0 {
			continue
		}
		f.out.null = out.format == "null" || out.format == "tee" || out.format == "hls" || f.out.list
		if out.format != "null" && (out.url == "-" || out.url == "pipe:" || out.url == "pipe:1") {
			f.out.fd, f.out.stdout = 1, true
		}
		switch {
		case f.out.list:
			f.put([]byte("#EXTM3U\n"))
		case isFile:
			f.put([]byte(header))
		}
	}
}

// guard is ffmpeg's care for a file that exists.
func (f *fake) guard(url, path string) {
	if f.cmd.overwrite || syscall.Access(path, 0 /* F_OK */) != nil {
		return
	}
	if f.cmd.never || !f.keys.on {
		f.log(levelFatal, "File '"+url+"' already exists. Exiting.")
		f.exit(1)
	}
	write(2, []byte("File '"+url+"' already exists. Overwrite? [y/N] "))
	if !f.readYes() {
		f.log(levelFatal, "Not overwriting - exiting")
		f.exit(1)
	}
}

// readYes reads a line from stdin.
func (f *fake) readYes() bool {
	yes := false
	var c [1]byte
	for i := 0; ; i++ {
		n, err := syscall.Read(0, c[:])
		if err == syscall.EINTR {
			continue
		}
		if n < 1 || c[0] == '\n' {
			return yes
		}
		if i == 0 {
			yes = c[0]|0x20 == 'y'
		}
	}
}

// put writes to the output and counts.
func (f *fake) put(b []byte) bool {
	if f.out.fd < 0 {
		return true
	}
	f.out.size += uint64(len(b))
	return write(f.out.fd, b)
}

// strerror is err as ffmpeg spells it.
func strerror(err error) string {
	s := err.Error()
	if s == "" {
		return "Unknown error"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
