package streamfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// presentable: an error is one printable line that names a place.
func presentable(t *testing.T, errs []*Error) {
	t.Helper()
	for _, e := range errs {
		text := e.Error()
		if e.Msg == "" || strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
			t.Errorf("an error that cannot be shown: %q", text)
		}
	}
}

// FuzzLoad is the whole way from bytes to a launch.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal), []byte("A=1\n"))
	f.Add([]byte("\ufeff[Stream]\r\nExecStart=program \\\r\n# x\r\n ${NAME} $A ${A} \"x y\" \\x41 $$\r\n"), []byte("A='b c' # d\n"))
	f.Add([]byte("[Stream]\nExecStart=\nCommandBuilder=:b $x\nOnFailure=stream:${NAME}x\nRestartSec=1min 2s\nLimitNICE=+5:-5\nCPUAffinity=0-8191\n"), []byte(""))
	f.Add([]byte("[Stream\nExecStart\n=\n[x]\nTimeoutStopSec=1y\n[Stream]\nenvironment=A\nEnvironment=A=1 \"B=2\n"), []byte("\x00"))
	f.Add([]byte("[Stream]\nEnvironmentCredential=T=k-${NAME}\nOutputPreset=p a:b=\"x${CREDENTIAL:k${A}} ${T}\" c=$$\nExecStart=x ${PRESET_p} $PRESET_p ${CREDENTIAL_FD:k} ${CREDENTIAL_FD:${NAME}}\n"), []byte("A=1\n"))
	root := f.TempDir()
	env := filepath.Join(root, "env")
	h := newHost(&Loader{LookPath: found, Credential: func(name string) ([]byte, error) { return []byte("of " + name), nil }})
	f.Fuzz(func(t *testing.T, text, variables []byte) {
		b := newBuilder("cam1", h)
		b.file("/etc/cam1.stream", text)
		b.finish()
		b.try()
		e := b.entry()
		presentable(t, e.Errors)
		presentable(t, e.Warnings)
		if (e.Definition == nil) != (len(e.Errors) > 0) {
			t.Fatal("neither or both of definition and errors")
		}
		lines := 1 + strings.Count(string(text), "\n") + strings.Count(string(text), "\r")
		for _, e := range slices.Concat(e.Errors, e.Warnings) {
			if e.File == "/etc/cam1.stream" && e.Line > lines {
				t.Errorf("%v: there are %d lines", e, lines)
			}
		}
		if e.Definition == nil {
			return
		}
		if errs := e.Definition.Validate(); len(errs) > 0 {
			t.Errorf("what was loaded is not valid: %s", texts(errs))
		}
		d := *e.Definition
		if err := os.WriteFile(env, variables, 0o644); err != nil {
			t.Fatal(err)
		}
		d.EnvironmentFiles = []EnvironmentFile{{Path: env, File: "/etc/cam1.stream", Line: 1}}
		for _, resolve := range []func() (*Launch, error){
			func() (*Launch, error) { return d.Resolve(noon, nil) },
			func() (*Launch, error) { return d.ResolveBuilder(noon) },
			func() (*Launch, error) { return d.Resolve(noon, []string{string(text), string(variables)}) },
		} {
			if l, err := resolve(); (l == nil) != (err != nil) {
				t.Errorf("got %+v, %v", l, err)
			} else if err == nil {
				runnable(t, l)
			}
		}
	})
}

// runnable: execve(2) would take it.
func runnable(t *testing.T, l *Launch) {
	t.Helper()
	if !filepath.IsAbs(l.Path) || !filepath.IsAbs(l.Dir) || len(l.Argv) == 0 || l.Stdin == StdinAuto || l.Stdout == StdoutAuto {
		t.Errorf("an incomplete launch: %+v", l)
	}
	for _, s := range slices.Concat(l.Argv, l.Env) {
		if strings.IndexByte(s, 0) >= 0 || len(s) > maxVariable {
			t.Errorf("execve does not take %.100q", s)
		}
	}
	names := make(map[string]bool)
	for _, s := range l.Env {
		name, _, ok := strings.Cut(s, "=")
		if !ok || names[name] {
			t.Errorf("%q is no variable, or there twice", s)
		}
		names[name] = true
	}
}

func FuzzSyntax(f *testing.F) {
	f.Add("[Stream]\nA=1 \\\n# c\n  b\\\\\nB = 2\r\n;x\rC=\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		assignments, problems := parseSyntax([]byte(text))
		last := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
		for i, a := range assignments {
			if a.line < 1 || a.line > last || i > 0 && a.line <= assignments[i-1].line {
				t.Errorf("%q stands on line %d of %d", a.key, a.line, last)
			}
			if strings.Trim(a.value, blanks) != a.value || strings.ContainsAny(a.value, "\r\n") {
				t.Errorf("the value %q", a.value)
			}
			before := a.line
			for at := range len(a.value) {
				if n := a.lineAt(at); n < before || n > last {
					t.Fatalf("byte %d of %q stands on line %d, the one before on %d", at, a.value, n, before)
				} else {
					before = n
				}
			}
		}
		for _, p := range problems {
			if p.line < 1 || p.line > last {
				t.Errorf("a problem on line %d of %d", p.line, last)
			}
		}
	})
}

// quoteWord writes w so that it is read as one word.
func quoteWord(w string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`)
	return `"` + r.Replace(w) + `"`
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{`a "b c" 'd'e\x41\101\u00e4`, `\`, `"`, `\q "\`, "a\tb\\sc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		words, warnings, err := splitWords(value)
		if err != nil {
			if err.at < 0 || err.at >= len(value) {
				t.Errorf("a problem at %d of %q", err.at, value)
			}
			return
		}
		var all []string
		last := -1
		for _, w := range words {
			if w.at <= last || w.at >= len(value) {
				t.Errorf("%q begins at %d of %q", w.text, w.at, value)
			}
			last = w.at
			all = append(all, quoteWord(w.text))
		}
		for _, w := range warnings {
			if w.at < 0 || w.at >= len(value) {
				t.Errorf("a warning at %d of %q", w.at, value)
			}
		}
		again, _, err := splitWords(strings.Join(all, " "))
		if err != nil || len(again) != len(words) {
			t.Fatalf("%q quoted is read as %d words, %v", value, len(again), err)
		}
		for i := range again {
			if again[i].text != words[i].text {
				t.Errorf("%q quoted is read as %q", words[i].text, again[i].text)
			}
		}
		splitValue(value)
	})
}

func FuzzTimeSpan(f *testing.F) {
	for _, s := range spans {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseTimeSpan(s, time.Second)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q is %d", s, d)
		}
		if d == Infinity {
			return
		}
		twice, err := parseTimeSpan(s+" "+s, time.Second)
		if d <= Infinity/4 && (err != nil || twice != 2*d) {
			t.Errorf("%q is %v, and twice %v", s, d, twice)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"4 M 11.5K", "15.999999999999999999E", "3B", "12.5%", "0-8191,3", "5:infinity", "-20:+19", "0777", "infinity"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n == LimitInfinity && strings.Trim(s, blanks) != "infinity" {
			t.Errorf("%q is infinity", s)
		}
		if p, err := parsePercent(s); err == nil && !(p >= 0) {
			t.Errorf("%q is %v", s, p)
		}
		if cpus, err := parseCPUs(s); err == nil && !slices.IsSorted(cpus) {
			t.Errorf("%q is %v", s, cpus)
		}
		for _, r := range limitRows {
			if l, err := parseLimit(s, r.kind); err == nil && l.Soft > l.Hard {
				t.Errorf("%q is %v", s, l)
			}
		}
		parseUMask(s)
		parseCount(s)
	})
}

func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\n# c\nB='x\ny' \"z\"w \\\n v\n", "A=\"\\$x\\q\"", "export A=1", "=", "A=\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vars, warnings, failed := parseEnvFile([]byte(text))
		last := 1 + strings.Count(text, "\n")
		for _, v := range vars {
			if !validVariable(v.name) || !validEnvValue(v.value) || v.line < 1 || v.line > last {
				t.Errorf("%q=%q on line %d of %d", v.name, v.value, v.line, last)
			}
		}
		if failed != nil {
			warnings = append(warnings, *failed)
		}
		for _, w := range warnings {
			if w.line < 1 || w.line > last {
				t.Errorf("a problem on line %d of %d", w.line, last)
			}
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"cam1", "cam@front", "a..b", ".x", "cam@", "@x", "x.stream"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != nil {
			return
		}
		if name != filepath.Base(name) || name[0] == '.' || len(name) > maxName || isTemplate(name) {
			t.Errorf("%q is taken", name)
		}
		if prefix, instance := splitName(name); instance != "" && template(name) != prefix+"@" {
			t.Errorf("%q is an instance of %q", name, template(name))
		}
	})
}
