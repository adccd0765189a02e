package procmon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
)

// fakeProc is a /proc with these files.
func fakeProc(t testing.TB, files map[string]string) procfs.FS {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := procfs.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func psi(some, full string) string {
	text := "some avg10=" + some + " avg60=99.00 avg300=99.00 total=1\n"
	if full != "" {
		text += "full avg10=" + full + " avg60=99.00 avg300=99.00 total=1\n"
	}
	return text
}

func TestHostIsSlow(t *testing.T) {
	idle := psi("0.00", "0.00")
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // in the explanation; "": not slow
	}{
		{"idle", map[string]string{"pressure/cpu": idle, "pressure/memory": idle, "pressure/io": idle, "loadavg": "0.00 0.00 0.00 1/100 1\n"}, ""},
		{"cpu", map[string]string{"pressure/cpu": psi("50.01", "0.00")}, "waited for a CPU for 50 %"},
		{"cpu, kernel before 5.13", map[string]string{"pressure/cpu": psi("80.00", "")}, "waited for a CPU for 80 %"},
		{"cpu not quite", map[string]string{"pressure/cpu": psi("50.00", "0.00")}, ""},
		{"memory", map[string]string{"pressure/cpu": idle, "pressure/memory": psi("90.00", "21.00")}, "memory for 21 %"},
		{"memory of some", map[string]string{"pressure/cpu": idle, "pressure/memory": psi("90.00", "1.00")}, ""},
		{"io", map[string]string{"pressure/cpu": idle, "pressure/io": psi("90.00", "51.00")}, "I/O for 51 %"},
		{"PSI is asked before load", map[string]string{"pressure/cpu": idle, "loadavg": "40.00 0.00 0.00 1/100 1\n"}, ""},
		{"load", map[string]string{"loadavg": "8.10 0.00 0.00 1/100 1\n"}, "load average is 8.1 on 4 CPUs"},
		{"load not quite", map[string]string{"loadavg": "8.00 0.00 0.00 1/100 1\n"}, ""},
		{"rubbish", map[string]string{"pressure/cpu": "some avg10=x", "loadavg": "?"}, ""},
		{"nothing there", nil, ""},
	} {
		h := &Host{fs: fakeProc(t, test.files), ok: true, cores: 4}
		slow, why := h.Slow()
		if slow != (test.want != "") || !strings.Contains(why, test.want) {
			t.Errorf("%s: %v, %q; want %q", test.name, slow, why, test.want)
		}
	}
	if slow, _ := (&Host{cores: 1}).Slow(); slow {
		t.Error("slow without a /proc")
	}
}

func TestHostReadsThisMachine(t *testing.T) {
	h := NewHost()
	if !h.ok || h.cores < 1 {
		t.Errorf("%+v", h)
	}
	_, err := os.ReadFile("/proc/pressure/cpu") // may be refused although it is there
	if p := h.Pressure().CPU; (p != nil) != (err == nil) {
		t.Errorf("CPU pressure %v; the file: %v", p, err)
	}
	h.Slow()
}
