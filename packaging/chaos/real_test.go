package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// The raw pictures that a client feeds.
const (
	fedSize  = "64x36"
	fedBytes = 64 * 36 * 3 / 2 // yuv420p
	fedRate  = 10              // a second
)

// realStreams are twelve real ffmpegs, small enough for two cores, that nothing
// may interrupt.
func realStreams() map[string]string {
	const (
		picture = "-re -f lavfi -i testsrc2=size=160x90:rate=10"
		tone    = "-re -f lavfi -i sine=frequency=440"
		x264    = "-c:v libx264 -preset ultrafast -threads 1 -g 10"
	)
	s := map[string]string{
		"hls0": "ffmpeg -y " + picture + " " + x264 + " -f hls -hls_time 1 -hls_list_size 6 " + outputs + "hls0.m3u8",
		"hls1": "ffmpeg -y " + picture + " -f lavfi -i sine " + x264 + " -c:a aac -f hls -hls_time 1 -hls_list_size 0 " + outputs + "hls1.m3u8",
		"hls2": "ffmpeg -y " + picture + " " + x264 + " -f hls -hls_time 2 -hls_list_size 4 -hls_flags delete_segments " + outputs + "hls2.m3u8",
		"flv0": "ffmpeg " + picture + " " + x264 + " -f flv " + outputs + "flv0.flv",
		"flv1": "ffmpeg " + picture + " -f lavfi -i sine " + x264 + " -c:a aac -f flv " + outputs + "flv1.flv",
		"aud0": "ffmpeg " + tone + " -c:a aac " + outputs + "aud0.m4a",
		"aud1": "ffmpeg " + tone + " -c:a flac " + outputs + "aud1.flac",
		"fed":  fmt.Sprintf("ffmpeg -f rawvideo -pix_fmt yuv420p -s %s -r %d -i - -c:v libx264 -preset ultrafast -tune zerolatency -threads 1 %sfed.mp4", fedSize, fedRate, outputs),
		"wrap": `sh -c "ffmpeg -nostats -progress pipe:3 ` + picture + " " + x264 + ` -f mpegts - | ffmpeg -nostdin -v error -f mpegts -i - -c copy ` + outputs + `wrap.mp4"`,
	}
	for i := range 3 {
		name := fmt.Sprintf("rec%d", i)
		s[name] = "ffmpeg " + picture + " " + x264 + " " + outputs + name + ".mp4"
	}
	for name, command := range s {
		s[name] = "TimeoutStopSec=30s\nExecStart=" + command
	}
	return s
}

// playlist is what an HLS playlist says.
type playlist struct {
	first, last int // segments, as numbered by their names
	ended       bool
}

var segmentName = regexp.MustCompile(`^hls\d(\d+)\.ts$`)

// readPlaylist reads one, in which nothing may be missing.
func readPlaylist(path string) (p playlist, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	sequence, n := -1, 0
	for line := range strings.FieldsFuncSeq(string(b), func(r rune) bool { return r == '\n' }) {
		if s, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			sequence, _ = strconv.Atoi(s)
		}
		if strings.HasPrefix(line, "#EXT-X-DISCONTINUITY") {
			return p, fmt.Errorf("%s has a discontinuity:\n%s", path, b)
		}
		p.ended = p.ended || line == "#EXT-X-ENDLIST"
		m := segmentName.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		i, _ := strconv.Atoi(m[1])
		// ffmpeg numbers its segments from 0, as it does the sequence.
		if i != sequence+n {
			return p, fmt.Errorf("%s: segment %d stands where %d belongs:\n%s", path, i, sequence+n, b)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), line)); err != nil {
			return p, err
		}
		if n == 0 {
			p.first = i
		}
		p.last = i
		n++
	}
	if n == 0 || sequence < 0 {
		return p, fmt.Errorf("%s has no segments:\n%s", path, b)
	}
	return p, nil
}

// packets counts the packets of a file's first stream; that it can be read to
// the end without a word of ffprobe makes it playable.
func packets(t *testing.T, path string) int {
	t.Helper()
	out, err := exec.Command(ffmpegtest.Probe(t), "-v", "error", "-count_packets", "-select_streams", "0",
		"-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path).CombinedOutput()
	n, convErr := strconv.Atoi(strings.Trim(strings.TrimSpace(string(out)), ","))
	if err != nil || convErr != nil {
		t.Errorf("ffprobe %s: %v: %q", path, err, out)
	}
	return n
}

// feeder is a client that feeds a stream through OpenStdin, and never lets go
// of its end.
type feeder struct {
	file *os.File
	stop chan struct{}
	done chan struct{}
	once sync.Once

	pictures int // after done
	err      error
}

func (b *booted) feed(name string) *feeder {
	b.t.Helper()
	b.until(name, "waits for its data", func(h client.Health) bool { return h.PID != 0 })
	file, err := b.client.OpenStdin(b.ctx(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	f := &feeder{file: file, stop: make(chan struct{}), done: make(chan struct{})}
	go f.run()
	b.t.Cleanup(func() { f.end(); file.Close() })
	return f
}

func (f *feeder) run() {
	defer close(f.done)
	tick := time.NewTicker(time.Second / fedRate)
	defer tick.Stop()
	picture := make([]byte, fedBytes)
	for {
		select {
		case <-tick.C:
		case <-f.stop:
			return
		}
		for i := range picture {
			picture[i] = byte(f.pictures + i)
		}
		if _, f.err = f.file.Write(picture); f.err != nil {
			return
		}
		f.pictures++
	}
}

// end ends the feeding, not the file, and answers how many pictures it was.
func (f *feeder) end() (int, error) {
	f.once.Do(func() { close(f.stop) })
	<-f.done
	return f.pictures, f.err
}
