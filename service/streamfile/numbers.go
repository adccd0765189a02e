package streamfile

import (
	"math"
	"strconv"
	"strings"
)

// parseBool takes what systemd's parse_boolean takes, in any case.
func parseBool(s string) (bool, *problem) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, wrong("write yes or no", "%s is neither yes nor no", quoted(s))
}

var sizeUnits = []struct {
	letter string
	shift  uint
}{{"E", 60}, {"P", 50}, {"T", 40}, {"G", 30}, {"M", 20}, {"K", 10}, {"B", 0}, {"", 0}}

const sizeHint = "write for example 512M, 1.5G or infinity (K, M, G, T are powers of 1024)"

// parseSize reads a size in bytes as systemd's parse_size does: numbers with
// units to the base 1024, the larger first, added up. "infinity" is
// LimitInfinity.
func parseSize(s string) (uint64, *problem) {
	rest := strings.Trim(s, blanks)
	if rest == "infinity" {
		return LimitInfinity, nil
	}
	bad := func() (uint64, *problem) { return 0, wrong(sizeHint, "%s is not a size", quoted(s)) }
	if rest == "" {
		return bad()
	}
	var sum uint64
	for from := 0; rest != ""; {
		if rest[0] == '-' {
			return 0, wrong("", "a size cannot be negative")
		}
		whole, after := digits(strings.TrimPrefix(rest, "+"))
		fraction := ""
		if whole == "" {
			return bad()
		}
		if strings.HasPrefix(after, ".") {
			fraction, after = digits(after[1:])
		}
		after = strings.TrimLeft(after, blanks)
		unit := from
		for unit < len(sizeUnits) && !strings.HasPrefix(after, sizeUnits[unit].letter) {
			unit++
		}
		if unit == len(sizeUnits) {
			return bad()
		}
		u := sizeUnits[unit]
		after = after[len(u.letter):]
		n, err := strconv.ParseUint(whole, 10, 64)
		if err != nil || n > (LimitInfinity-1)>>u.shift {
			return 0, wrong("write infinity for no limit", "the size is too large")
		}
		n <<= u.shift
		if fraction != "" {
			f, _ := strconv.ParseFloat("0."+fraction, 64)
			n += min(uint64(f*float64(uint64(1)<<u.shift)), 1<<u.shift-1) // 0.99… may round to 1
		}
		if sum+n < sum || sum+n == LimitInfinity {
			return 0, wrong("write infinity for no limit", "the size is too large")
		}
		sum += n
		from = unit + 1
		rest = strings.TrimLeft(after, blanks)
	}
	return sum, nil
}

// parsePercent reads "12.5%" as 0.125. It may be above 100 %.
func parsePercent(s string) (float64, *problem) {
	number, ok := strings.CutSuffix(s, "%")
	if !ok && s == "0" {
		return 0, nil
	}
	f, err := parseDecimal(strings.TrimRight(number, blanks))
	if !ok || err != nil {
		return 0, wrong("write for example 10%", "%s is not a percentage", quoted(s))
	}
	return f / 100, nil
}

// parseFactor reads a plain decimal number, not below 0.
func parseFactor(s string) (float64, *problem) {
	f, err := parseDecimal(s)
	if err != nil {
		return 0, wrong("write for example 1.5", "%s is not a number", quoted(s))
	}
	return f, nil
}

// parseDecimal takes digits and a point only: strconv's "0x1p-2", "1e9", "Inf"
// and "NaN" are nobody's intention in a stream file.
func parseDecimal(s string) (float64, error) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// parseCount reads a whole number or "infinity".
func parseCount(s string) (uint64, *problem) {
	if s == "infinity" {
		return LimitInfinity, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == LimitInfinity {
		return 0, wrong("write a whole number or infinity", "%s is not a count", quoted(s))
	}
	return n, nil
}

// parseInt reads a whole number from least to most.
func parseInt(s string, least, most int64) (int64, *problem) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, wrong("", "%s is not a whole number from %d to %d", quoted(s), least, most)
	}
	return n, nil
}

// parseUMask reads an octal file mode mask.
func parseUMask(s string) (uint32, *problem) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return 0, wrong("write for example 0027", "%s is not an octal number up to 0777", quoted(s))
	}
	return uint32(n), nil
}

// maxCPU is the highest CPU number a kernel can be built for, less one
// (CONFIG_NR_CPUS of x86).
const maxCPU = 8191

// parseCPUs reads a list of CPU numbers and ranges such as "0-3,6 8" and
// answers them in order, each once.
func parseCPUs(s string) ([]int, *problem) {
	var set [maxCPU + 1]bool
	for field := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || strings.ContainsRune(blanks, r) }) {
		low, high, isRange := strings.Cut(field, "-")
		from, err1 := strconv.ParseUint(low, 10, 32)
		to, err2 := from, error(nil)
		if isRange {
			to, err2 = strconv.ParseUint(high, 10, 32)
		}
		if err1 != nil || err2 != nil || from > to || to > maxCPU {
			return nil, wrong("write for example 0-3,6", "%s is not a CPU or range of CPUs", quoted(field))
		}
		for n := from; n <= to; n++ {
			set[n] = true
		}
	}
	var cpus []int
	for n, in := range set {
		if in {
			cpus = append(cpus, n)
		}
	}
	return cpus, nil
}

// share is fraction of total, at least 1.
func share(fraction float64, total uint64) uint64 {
	return uint64(math.Max(1, math.Floor(fraction*float64(total))))
}
