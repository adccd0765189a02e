package procmon

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/prometheus/procfs"
)

func TestPressureIsReadAsProcfsReadsIt(t *testing.T) {
	for name, test := range map[string]struct {
		text       string
		some, full *procfs.PSILine
	}{
		"both": {"some avg10=0.06 avg60=0.21 avg300=0.99 total=8537362\nfull avg10=0.01 avg60=0.13 avg300=0.96 total=8183134\n",
			&procfs.PSILine{Avg10: .06, Avg60: .21, Avg300: .99, Total: 8537362}, &procfs.PSILine{Avg10: .01, Avg60: .13, Avg300: .96, Total: 8183134}},
		"cpu before 5.13": {"some avg10=83.50 avg60=0.00 avg300=0.00 total=1\n", &procfs.PSILine{Avg10: 83.5, Total: 1}, nil},
		"a new line":      {"most avg10=x\nsome avg10=1.00 avg60=2.00 avg300=3.00 total=4\n", &procfs.PSILine{Avg10: 1, Avg60: 2, Avg300: 3, Total: 4}, nil},
		"empty":           {"", nil, nil},
	} {
		got, err := parsePressure([]byte(test.text))
		if err != nil || !reflect.DeepEqual(got, &procfs.PSIStats{Some: test.some, Full: test.full}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		theirs, err := fakeProc(t, map[string]string{"pressure/cpu": test.text}).PSIStatsForResource("cpu")
		if err != nil || !reflect.DeepEqual(got, &theirs) {
			t.Errorf("%s: procfs reads %+v, %v", name, theirs, err)
		}
	}
	for _, text := range []string{"some avg10=x", "some avg10=NaN", "some avg10=+Inf", "full avg60=-1.00", "some total=-1", "some total"} {
		if p, err := parsePressure([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func TestPressureThatIsNotThereIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"memory.pressure": psi("12.34", "1.00"), "io.pressure": "some rubbish=1\nfull avg10=?\n"})
	p := ReadPressure(dir)
	if p.CPU != nil || p.IO != nil || p.Memory == nil {
		t.Errorf("%+v", p)
	}
	if percent, known := Waited(p.Memory); !known || percent != 12.34 {
		t.Errorf("memory %v %v", percent, known)
	}
	for _, unknown := range []*procfs.PSIStats{nil, {}, {Full: new(procfs.PSILine)}} {
		if percent, known := Waited(unknown); known || percent != 0 {
			t.Errorf("%+v is %v", unknown, percent)
		}
	}
	if p := ReadPressure(filepath.Join(dir, "gone")); p != (Pressure{}) {
		t.Errorf("of no cgroup: %+v", p)
	}
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever stands there, a share is a number and not below 0.
func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=0.06 avg60=0.21 avg300=0.99 total=8537362\nfull avg10=0.00 avg60=0.13 avg300=0.96 total=8183134\n"))
	f.Add([]byte("some avg10=100.00 avg60=1e9 avg300=0x1p3 total=18446744073709551615"))
	f.Add([]byte("some  avg10=\nfull total=18446744073709551616\nsome"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePressure(text)
		if err != nil {
			if p != nil {
				t.Errorf("%+v beside %v", p, err)
			}
			return
		}
		for _, l := range []*procfs.PSILine{p.Some, p.Full} {
			if l != nil && !(l.Avg10 >= 0 && l.Avg60 >= 0 && l.Avg300 >= 0) {
				t.Errorf("%+v", l)
			}
		}
	})
}
