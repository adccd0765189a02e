package procmon

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"github.com/prometheus/procfs"
)

// Pressure is the kernel's pressure stall information (PSI) of the host or of
// a cgroup: nil for what it has not, be it an old kernel, one built or booted
// without PSI, a cgroup for which it was switched off (cgroup.pressure), or,
// for the host's, a unit with ProcSubset=pid. No controller is needed.
type Pressure struct {
	CPU, Memory, IO *procfs.PSIStats
}

// Waited answers for how much of the last 10 s, in percent, at least one
// process waited: "some avg10". The average forgets slowly: of 100 % that
// ended 10 s ago 37 are left.
func Waited(p *procfs.PSIStats) (percent float64, known bool) {
	if p == nil || p.Some == nil {
		return 0, false
	}
	return p.Some.Avg10, true
}

// ReadPressure reads the pressure of a cgroup of version 2 by its directory.
func ReadPressure(dir string) Pressure {
	var r fileReader
	return r.pressure(dir)
}

func (r *fileReader) pressure(dir string) Pressure {
	read := func(name string) *procfs.PSIStats {
		text, err := r.read(filepath.Join(dir, name))
		if err != nil {
			return nil
		}
		p, err := parsePressure(text)
		if err != nil {
			return nil
		}
		return p
	}
	return Pressure{read("cpu.pressure"), read("memory.pressure"), read("io.pressure")}
}

// parsePressure reads what /proc/pressure/* and a cgroup's *.pressure have
// (Documentation/accounting/psi.rst):
//
//	some avg10=0.06 avg60=0.21 avg300=0.99 total=8537362
//	full avg10=0.00 avg60=0.13 avg300=0.96 total=8183134
//
// procfs has a parser too, but only for the paths of /proc, and reading takes
// four times as long with it (10 µs here). Lines and values of other names may
// be added by newer kernels; cpu has no "full" before Linux 5.13.
func parsePressure(text []byte) (*procfs.PSIStats, error) {
	p := new(procfs.PSIStats)
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		var to **procfs.PSILine
		switch string(kind) {
		case "some":
			to = &p.Some
		case "full":
			to = &p.Full
		default:
			continue
		}
		values, err := parsePressureLine(rest)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		*to = values
	}
	return p, nil
}

func parsePressureLine(rest []byte) (*procfs.PSILine, error) {
	l := new(procfs.PSILine)
	for word := range bytes.SplitSeq(rest, []byte(" ")) {
		key, value, _ := bytes.Cut(word, []byte("="))
		var percent *float64
		switch string(key) {
		case "avg10":
			percent = &l.Avg10
		case "avg60":
			percent = &l.Avg60
		case "avg300":
			percent = &l.Avg300
		case "total":
			n, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return nil, err
			}
			l.Total = n
			continue
		default:
			continue
		}
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return nil, err
		}
		if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
			return nil, fmt.Errorf("%s is no percentage", value)
		}
		*percent = f
	}
	return l, nil
}
