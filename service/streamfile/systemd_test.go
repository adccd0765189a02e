package streamfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func vectors[T any](t *testing.T, file string) []T {
	t.Helper()
	data, err := os.ReadFile("testdata/systemd252/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var v []T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const vectorEnvironment = `Environment=A=aval "W=one two  three" "Q=\"x y\" 'z' k" E= "BS=a\\tb c\\ d" "UQ=a \"b c"` + "\n"

func TestCommandsAreSplitAndExpandedAsSystemdDoes(t *testing.T) {
	for _, v := range vectors[struct {
		Value, Stricter string
		Argv, Here      []string
	}](t, "words.json") {
		t.Run(v.Value, func(t *testing.T) {
			e := load(t, "[Stream]\n"+vectorEnvironment+"ExecStart=program "+v.Value+"\n")
			if v.Stricter != "" {
				if !strings.Contains(texts(e.Errors), v.Stricter) {
					t.Errorf("got errors %q, want one with %q", texts(e.Errors), v.Stricter)
				}
				return
			}
			if e.Definition == nil {
				t.Fatal(texts(e.Errors))
			}
			l, err := e.Definition.Resolve(noon, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := v.Argv
			if v.Here != nil {
				want = v.Here
			}
			if diff := cmp.Diff(want, l.Argv[1:]); diff != "" {
				t.Errorf("systemd -, we +:\n%s", diff)
			}
		})
	}
}

func TestBytesThatAreNotUTF8CanBeWrittenAsEscapes(t *testing.T) {
	d := definition(t, "[Stream]\nExecStart=program \\x80\\377\n")
	if got := d.ExecStart.Words[1]; got != "\x80\xff" {
		t.Errorf("got %q", got)
	}
}

func TestEnvironmentFilesAreReadAsSystemdDoes(t *testing.T) {
	for _, v := range vectors[struct {
		File, Stricter string
		Env, Here      map[string]string
	}](t, "envfiles.json") {
		t.Run(v.File, func(t *testing.T) {
			vars, _, failed := parseEnvFile([]byte(v.File))
			if v.Stricter != "" {
				if failed == nil || !strings.Contains(failed.text(func(s string) string { return s }), v.Stricter) {
					t.Errorf("got %v, want an error with %q", failed, v.Stricter)
				}
				return
			}
			if failed != nil {
				t.Fatal(failed.text(func(s string) string { return s }))
			}
			want, got := v.Env, make(map[string]string)
			if v.Here != nil {
				want = v.Here
			}
			for _, x := range vars {
				got[x.name] = x.value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("systemd -, we +:\n%s", diff)
			}
		})
	}
}

// spans are time spans to be tried on the systemd that is installed.
var spans = []string{
	"1min30s", "5 10", "1.5min", "3.sec", ".5s", "12.34.56", "12.34 .56", "12.34s.56", "+5", "+.5", "1 month", "2M",
	"3m", "1h 5ms 3us", "4 µs", "4 μs", "infinity", " infinity ", "Infinity", "5S", "1year", "0", "1e3", "0x10", "1.0000001s",
	"5 s", "5sec5", "1y 2w", "3 min 2", "3minutes", "7hr", "1d12h", "5 x", "x", "1.", "1..5", "infinity s", "1msec", "1mo",
	"5 min 30", "2 weeks 1 day", "1.5", "1.5 1.5", "00012s", "1 2 3",
}

// What systemd-analyze says is held against what we say, on whatever version
// there is.
func TestTimeSpansAreThoseOfSystemd(t *testing.T) {
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT TESTED against systemd: systemd-analyze is not installed")
	}
	for _, s := range spans {
		out, err := exec.Command(program, "timespan", s).Output()
		want, valid := time.Duration(0), err == nil
		if valid {
			lines := bufio.NewScanner(bytes.NewReader(out))
			for lines.Scan() {
				if _, n, ok := strings.Cut(lines.Text(), "μs: "); ok {
					us, err := strconv.ParseUint(n, 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					want = time.Duration(us) * time.Microsecond
					if us == 1<<64-1 {
						want = Infinity
					}
				}
			}
		}
		got, p := parseTimeSpan(s, time.Second)
		if got != Infinity {
			got = got.Truncate(time.Microsecond) // all that systemd knows
		}
		switch {
		case valid != (p == nil):
			t.Errorf("%q: systemd takes it: %v; we do: %v", s, valid, p == nil)
		case valid && got != want:
			t.Errorf("%q: systemd makes %v of it, we %v", s, want, got)
		}
	}
}

// The vectors of systemd's own test-parse-util.c.
func TestSizesAreThoseOfSystemd(t *testing.T) {
	const K, M, G, T, P, E = 1 << 10, 1 << 20, 1 << 30, 1 << 40, 1 << 50, 1 << 60
	for s, want := range map[string]uint64{
		"111": 111, "111.4": 111, " 112 B": 112, "112.6 B": 112, "3.5 K": 3*K + 512, "3. K": 3 * K, "3.0 K": 3 * K,
		" 4 M 11.5K": 4*M + 11*K + 512, "3.5G3B": 3*G + 512*M + 3, "3.5G 4B": 3*G + 512*M + 4,
		"4T3G3B": 4*T + 3*G + 3, "4 T 3 G 3 B": 4*T + 3*G + 3, "12P": 12 * P, "3E 2P": 3*E + 2*P, "0": 0, "+5": 5,
		"infinity": LimitInfinity,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "3. 0 K", "3B3.5G", "3B3G4T", "12P12P", "12X", "12.5X", "12.5e3", "1024E", "-1", "-1024E", "-10B", "-10", "15.9X",
		"1k", "1KB", "1KiB", "Infinity", "infinityK", "0x10", "18446744073709551615",
	} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: got %d, want an error", s, got)
		}
	}
}

func TestBooleansAreThoseOfSystemd(t *testing.T) {
	for s, want := range map[string]bool{
		"1": true, "yes": true, "y": true, "true": true, "t": true, "on": true, "YES": true, "On": true,
		"0": false, "no": false, "n": false, "false": false, "f": false, "off": false, "No": false,
	} {
		if got, err := parseBool(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2", "yep", "ja", "enabled"} {
		if _, err := parseBool(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestOptionsThatSystemdHasKeepItsNames(t *testing.T) {
	// Of systemd.service(5), systemd.exec(5), systemd.unit(5),
	// systemd.resource-control(5).
	systemd := strings.Fields(`Description Documentation Type ExecStart StandardInput StandardOutput StandardError Environment
		EnvironmentFile WorkingDirectory Nice UMask CPUAffinity After Requires Restart RestartSec RuntimeMaxSec
		TimeoutStartSec OnFailure TimeoutStopSec MemoryMax MemoryHigh CPUQuota CPUWeight TasksMax IOWeight
		LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK LimitLOCKS
		LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME`)
	for _, name := range systemd {
		if !slices.ContainsFunc(Options(), func(o Option) bool { return o.Name == name }) {
			t.Errorf("there is no %s=", name)
		}
	}
}
