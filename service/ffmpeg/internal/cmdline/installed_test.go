package cmdline_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/internal/cmdline"
)

// TestOptionsMatchTheInstalledFFmpeg asks ffmpeg how it reads each option that
// its help names, with and without "no" before it, and holds Split against
// the answers.
func TestOptionsMatchTheInstalledFFmpeg(t *testing.T) {
	program := ffmpegtest.Real(t)
	names := optionsOf(t, program)
	if len(names) < 150 {
		t.Fatalf("ffmpeg names only %d options: is its help read rightly?", len(names))
	}

	var args []string
	for _, name := range names {
		args = append(args, "-"+name, "VALUE")
	}
	compare(t, program, args)

	// A -noX that is none ends ffmpeg's reading, so these go one by one; one
	// of each kind and all that take part in Split's decisions will do.
	for _, name := range []string{"y", "n", "stdin", "stats", "vn", "autorotate", "autoscale", "shortest", "copyts", "report", "vstats", "i", "c", "map", "loglevel"} {
		compare(t, program, []string{"-no" + name, "VALUE"})
	}
	compare(t, program, []string{"-noautorotate:v", "x", "-c:v:0", "copy", "-b:v", "3", "-stdin:x", "-y:z", "--", "-dashed", "-fflags", "nobuffer", "-rw_timeout", "5", "-"})
}

// optionsOf are the names of ffmpeg's own options, without their dash: all
// that `-h full` prints before the options of the libraries.
func optionsOf(t *testing.T, program string) []string {
	t.Helper()
	help, err := exec.Command(program, "-hide_banner", "-h", "full").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	seen := map[string]bool{}
	s := bufio.NewScanner(bytes.NewReader(help))
	for s.Scan() && !strings.Contains(s.Text(), "AVOptions") {
		name, _, ok := strings.Cut(s.Text(), " ")
		name, dash := strings.CutPrefix(name, "-")
		if ok && dash && name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// reading is a line of ffmpeg's debug log. An option that does not exist is
// left without a match, and the next line follows at once.
var reading = regexp.MustCompile(`Reading option '([^']*)' \.\.\.(?: matched as (?:(output url|input url)|(?:AVOption|option) '[^']*'))?(?:.* with argument (?:'([^']*)'|0)\.)?`)

// compare reads args by ffmpeg and by Split.
func compare(t *testing.T, program string, args []string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-loglevel", "debug"}, args...)...)
	cmd.Dir = t.TempDir() // -report writes a file
	out, _ := cmd.CombinedOutput()
	_, out, found := bytes.Cut(out, []byte("Splitting the commandline."))
	if !found {
		t.Fatalf("%v: ffmpeg did not say how it reads: %s", args, out)
	}

	items := cmdline.Split(args)
	next, prefix := 0, false
	for _, line := range strings.Split(strings.ReplaceAll(string(out), "Reading option", "\nReading option"), "\n") {
		m := reading.FindStringSubmatch(line)
		if m == nil || m[1] == "--" {
			continue
		}
		if !prefix {
			prefix = true // our own -loglevel
			continue
		}
		if strings.Contains(line, "Unrecognized") {
			// Nothing is known of it; here it is taken for an option of a
			// library, as of one of an other version.
			return
		}
		if next == len(items) {
			t.Fatalf("%v: ffmpeg read %q, and here nothing is left", args, line)
		}
		item := items[next]
		next++
		switch {
		case m[2] == "output url":
			if item.Kind != cmdline.Output || item.Value != m[1] {
				t.Errorf("ffmpeg: %s\n here: %+v", line, item)
			}
		case strings.Contains(line, " with argument 0."):
			if item.Kind != cmdline.Option || !item.Off {
				t.Errorf("ffmpeg: %s\n here: %+v", line, item)
			}
		case m[3] == "1" || m[3] == "":
			if item.Kind != cmdline.Option || item.Off || item.Value != "" {
				t.Errorf("ffmpeg: %s\n here: %+v", line, item)
			}
		case item.Name == "autorotate" || item.Name == "autoscale":
			// VALUE is no truth value, and from 7.0 on none follows.
			next++
		default:
			if item.Kind != cmdline.Option || item.Value != m[3] {
				t.Errorf("ffmpeg: %s\n here: %+v", line, item)
			}
		}
	}
}
