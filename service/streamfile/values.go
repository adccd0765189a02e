package streamfile

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// scalar is an option with one value, of which the last one given counts.
func scalar[T any](kind string, at func(*Definition) *T, parse func(string) (T, *problem), check func(T) *problem) value {
	v := value{
		kind: kind,
		set: func(d *Definition, _ *source, text string) *problem {
			x, err := parse(text)
			if err == nil {
				*at(d) = x
			}
			return err
		},
		reset: func(d *Definition) { *at(d) = *new(T) },
	}
	if check != nil {
		v.check = func(d *Definition) *problem { return check(*at(d)) }
	}
	return v
}

// optional is a scalar that need not be there.
func optional[T any](kind string, at func(*Definition) **T, parse func(string) (T, *problem), check func(T) *problem) value {
	return scalar(kind, at,
		func(s string) (*T, *problem) {
			x, err := parse(s)
			return &x, err
		},
		func(x *T) *problem {
			if x == nil {
				return nil
			}
			return check(*x)
		})
}

// text is an option that takes anything on one line; own variables expand.
func text(at func(*Definition) *string) value {
	v := scalar("text", at, func(s string) (string, *problem) { return s, nil }, nil)
	v.set = func(d *Definition, src *source, text string) (err *problem) {
		*at(d), err = src.own(text)
		return err
	}
	return v
}

func boolean(at func(*Definition) *bool) value {
	v := scalar("yes or no", at, parseBool, nil)
	v.allowed = []string{"yes", "no"}
	return v
}

// enum takes one of a few words.
func enum[T ~string](at func(*Definition) *T, allowed ...T) value {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	v := scalar(orList(names), at,
		func(s string) (T, *problem) { return T(s), nil },
		func(x T) *problem { return oneOf(string(x), names) })
	v.allowed = names
	return v
}

func oneOf(s string, names []string) *problem {
	if slices.Contains(names, s) {
		return nil
	}
	hint := "write " + orList(names)
	if near := nearest(s, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return wrong(hint, "%s is not a possible value", quoted(s))
}

// orList is "a, b or c".
func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// spanRule says which time spans an option takes.
type spanRule struct {
	zero     bool          // 0 is one of them
	infinity bool          // so is infinity
	most     time.Duration // the longest finite one; 0: longestSpan
	// same makes one span of two that mean the same (0 and infinity of a
	// time-out); nil: none do.
	same func(time.Duration) time.Duration
}

// longestSpan keeps sums of a few spans far from overflowing.
const longestSpan = 80 * year

func timeSpan(at func(*Definition) *time.Duration, rule spanRule) value {
	return scalar("time span", at,
		func(s string) (time.Duration, *problem) {
			d, err := parseTimeSpan(s, time.Second)
			if err == nil && rule.same != nil {
				d = rule.same(d)
			}
			return d, err
		},
		func(d time.Duration) *problem {
			most := rule.most
			if most == 0 {
				most = longestSpan
			}
			switch {
			case d < 0:
				return wrong("", "a time span cannot be negative")
			case d == 0 && !rule.zero:
				return wrong("", "the time span must be above 0")
			case d == Infinity && !rule.infinity:
				return wrong("", "the time span cannot be infinity")
			case d != Infinity && d > most:
				return wrong("", "the time span is too long: the longest is %s", formatSpan(most))
			}
			return nil
		})
}

// within takes numbers from least to most.
func within(least, most float64) func(float64) *problem {
	return func(f float64) *problem {
		if f >= least && f <= most { // not so for NaN
			return nil
		}
		return wrong("", "%v is not within %v and %v", f, least, most)
	}
}

// percent takes percentages from 0 to most.
func percent(at func(*Definition) *float64, most float64) value {
	return scalar("percentage", at, parsePercent, func(f float64) *problem {
		if f >= 0 && f <= most {
			return nil
		}
		return wrong("", "%v%% is not within 0%% and %v%%", f*100, most*100)
	})
}

func attempts(at func(*Definition) *int) value {
	const most = 1 << 30
	return scalar("count", at,
		func(s string) (int, *problem) {
			n, err := parseCount(s)
			if n == LimitInfinity {
				return Infinite, err
			}
			return int(min(n, most+1)), err
		},
		func(n int) *problem {
			if n < Infinite || n > most {
				return wrong("write a number from 0 on, or infinity", "%d is not a possible count", n)
			}
			return nil
		})
}

// amount is an optional number above 0 that may be infinity or a percentage of
// something this machine has.
func amount(kind string, at func(*Definition) **uint64, parse func(string) (uint64, *problem), total func() (uint64, *problem)) value {
	return optional(kind, at,
		func(s string) (uint64, *problem) {
			if !strings.HasSuffix(s, "%") {
				return parse(s)
			}
			fraction, err := parsePercent(s)
			if err != nil {
				return 0, err
			}
			if !(fraction > 0 && fraction <= 1) {
				return 0, wrong("", "%s is not above 0%% and at most 100%%", quoted(s))
			}
			whole, err := total()
			return share(fraction, whole), err
		},
		func(n uint64) *problem {
			if n == 0 {
				return wrong("", "the limit must be above 0")
			}
			return nil
		})
}

// weight is a cgroup weight.
func weight(at func(*Definition) **uint64) value {
	return optional("number from 1 to 10000", at, parseWeight, func(n uint64) *problem {
		if n < 1 || n > 10000 {
			return wrong("100 is what every other group has", "%d is not within 1 and 10000", n)
		}
		return nil
	})
}

func parseWeight(s string) (uint64, *problem) {
	n, err := parseInt(s, 1, 10000)
	return uint64(max(n, 0)), err
}

// limit is one of the resource limits.
func limit(name string, kind limitKind) value {
	return value{
		kind: string(kind),
		set: func(d *Definition, _ *source, text string) *problem {
			l, err := parseLimit(text, kind)
			if err != nil {
				return err
			}
			if d.Limits == nil {
				d.Limits = make(map[string]Limit)
			}
			d.Limits[name] = l
			return nil
		},
		reset: func(d *Definition) { delete(d.Limits, name) },
		check: func(d *Definition) *problem {
			if l, ok := d.Limits[name]; ok && l.Soft > l.Hard {
				return wrong("", "the soft limit is above the hard limit")
			}
			return nil
		},
	}
}
