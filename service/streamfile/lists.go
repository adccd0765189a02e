package streamfile

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// streamNames is After= or Requires=.
func streamNames(option string, at func(*Definition) *[]string) value {
	return value{
		kind: "stream names",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			words, _, err := splitWords(text)
			if err != nil {
				return err
			}
			for _, w := range words {
				name, err := src.own(w.text)
				if err != nil {
					return err.in(w.at)
				}
				name = strings.TrimSuffix(name, suffix)
				if err := checkOther(d, name); err != nil {
					return err.in(w.at)
				}
				*at(d) = append(*at(d), name)
				d.where[option+" "+name] = src.position(w.at)
			}
			return nil
		},
		reset: func(d *Definition) { *at(d) = nil },
		check: func(d *Definition) *problem {
			return each(*at(d), func(name string) *problem { return checkOther(d, name) })
		},
	}
}

// each answers the first problem that check has with a member of a list.
func each[T any](list []T, check func(T) *problem) *problem {
	for _, x := range list {
		if err := check(x); err != nil {
			return err
		}
	}
	return nil
}

// checkOther judges the name of a stream to wait for.
func checkOther(d *Definition, name string) *problem {
	if err := checkName(name); err != nil {
		return err
	}
	if name == d.Name {
		return wrong("remove it", "the stream cannot wait for itself")
	}
	return nil
}

// documentation takes the schemes of systemd.unit(5).
func documentation() value {
	schemes := []string{"http://", "https://", "file:/", "info:", "man:"}
	check := func(uri string) *problem {
		if slices.ContainsFunc(schemes, func(s string) bool { return len(uri) > len(s) && strings.HasPrefix(uri, s) }) {
			return nil
		}
		return wrong("begin it with http://, https://, file:/, info: or man:", "%s is not an address", quoted(uri))
	}
	return value{
		kind: "addresses",
		list: true,
		set: func(d *Definition, _ *source, text string) *problem {
			words, _, err := splitWords(text)
			for _, w := range words {
				if err := check(w.text); err != nil {
					return err.in(w.at)
				}
				d.Documentation = append(d.Documentation, w.text)
			}
			return err
		},
		reset: func(d *Definition) { d.Documentation = nil },
		check: func(d *Definition) *problem { return each(d.Documentation, check) },
	}
}

func environment() value {
	return value{
		kind: "NAME=value ...",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			words, warnings, err := splitWords(text)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				src.warn(w)
			}
			for _, w := range words {
				if err := checkAssignment(w.text); err != nil {
					return err.in(w.at)
				}
				name, _, _ := strings.Cut(w.text, "=")
				switch {
				case name == streamVariable:
					return wrong("remove it", "%s is always the stream's name", name).in(w.at)
				case slices.Contains(ownVariables, name):
					src.warn(wrong("choose another name", "in a command ${%s} is ffkeeper's own variable, not this one", name).in(w.at))
				}
				d.Environment = append(d.Environment, w.text)
			}
			return nil
		},
		reset: func(d *Definition) { d.Environment = nil },
		check: func(d *Definition) *problem { return each(d.Environment, checkAssignment) },
	}
}

// checkAssignment judges NAME=value as systemd's env_assignment_is_valid does.
// It never shows the value, nor what may be one.
func checkAssignment(a string) *problem {
	name, text, ok := strings.Cut(a, "=")
	switch {
	case !ok:
		return wrong("write NAME=value, in quotes if the value has blanks", "a word is no assignment")
	case !validVariable(name):
		return wrong("a name has letters, digits and _ and does not begin with a digit", "a word is no assignment to a variable")
	case !validEnvValue(text):
		return wrong("", "the value of %s has control characters or is not UTF-8", name)
	}
	return nil
}

// validVariable is systemd's env_name_is_valid.
func validVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && !('a' <= c|0x20 && c|0x20 <= 'z') && !(i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != ""
}

// validEnvValue is systemd's env_value_is_valid: tabs and newlines are fine.
func validEnvValue(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' || r == 0x7f
	}) < 0
}

func environmentFile() value {
	check := func(f EnvironmentFile) *problem {
		if filepath.IsAbs(f.Path) {
			return nil
		}
		return wrong("write an absolute path", "%s is not an absolute path", quoted(f.Path))
	}
	return value{
		kind: "path",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			path, optional := strings.CutPrefix(text, "-")
			path, err := src.own(path)
			if err != nil {
				return err
			}
			f := EnvironmentFile{Path: path, Optional: optional, File: src.file, Line: src.line}
			d.EnvironmentFiles = append(d.EnvironmentFiles, f)
			return check(f)
		},
		reset: func(d *Definition) { d.EnvironmentFiles = nil },
		check: func(d *Definition) *problem { return each(d.EnvironmentFiles, check) },
	}
}

func workingDirectory() value {
	return value{
		kind: "path",
		set: func(d *Definition, src *source, text string) *problem {
			path, optional := strings.CutPrefix(text, "-")
			path, err := src.own(path)
			d.WorkingDirectory, d.WorkingDirectoryOptional = path, optional
			return err
		},
		reset: func(d *Definition) { d.WorkingDirectory, d.WorkingDirectoryOptional = "", false },
		check: func(d *Definition) *problem {
			if dir := d.WorkingDirectory; dir != "" && dir != "~" && !filepath.IsAbs(dir) {
				return wrong("write an absolute path, or ~ for the home directory", "%s is not an absolute path", quoted(dir))
			}
			return nil
		},
	}
}

// progress is Progress=.
func progress() value {
	names := []string{"auto", "no"}
	return value{
		kind:    orList(names),
		allowed: names,
		set: func(d *Definition, _ *source, text string) *problem {
			d.AddProgress = text == "auto"
			return oneOf(text, names)
		},
		reset: func(d *Definition) { d.AddProgress = false },
	}
}

func cpuAffinity() value {
	return value{
		kind: "CPUs",
		list: true,
		set: func(d *Definition, _ *source, text string) *problem {
			cpus, err := parseCPUs(text)
			d.CPUAffinity = append(d.CPUAffinity, cpus...)
			slices.Sort(d.CPUAffinity)
			d.CPUAffinity = slices.Compact(d.CPUAffinity)
			return err
		},
		reset: func(d *Definition) { d.CPUAffinity = nil },
		check: func(d *Definition) *problem {
			return each(d.CPUAffinity, func(n int) *problem {
				if n < 0 || n > maxCPU {
					return wrong("", "%d is not the number of a CPU", n)
				}
				return nil
			})
		},
	}
}

func parseNice(s string) (int, *problem) {
	n, err := parseInt(s, -20, 19)
	return int(n), err
}

func niceRange(n int) *problem {
	if n < -20 || n > 19 {
		return wrong("", "%d is not within -20 and 19", n)
	}
	return nil
}

func umaskRange(m uint32) *problem {
	if m > 0o777 {
		return wrong("", "%#o has more than the nine permission bits", m)
	}
	return nil
}

// quota is the check of CPUQuota=.
func quota(f float64) *problem {
	if f > 0 && f <= maxCPU {
		return nil
	}
	return wrong("write for example 150%, for one and a half cores", "the quota must be above 0")
}

func zeroIsInfinity(d time.Duration) time.Duration {
	if d == 0 {
		return Infinity
	}
	return d
}

func infinityIsZero(d time.Duration) time.Duration {
	if d == Infinity {
		return 0
	}
	return d
}
