package importer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// sound: every stream can be read, with one command, and every remark stands on
// a line that there is.
func sound(t *testing.T, r *Result, files map[string]string) {
	t.Helper()
	for _, m := range r.Remarks {
		text, ok := files[m.File]
		if last := 1 + strings.Count(text, "\n") + strings.Count(text, "\r"); !ok || m.Line < 0 || m.Line > last {
			t.Errorf("a remark on line %d of %s, which has %d: %v", m.Line, m.File, last, m)
		}
		if strings.ContainsAny(m.String(), "\n\r") {
			t.Errorf("a remark of several lines: %q", m)
		}
	}
	names := map[string]bool{}
	for _, s := range r.Streams {
		if err := streamfile.CheckName(s.Name); err != nil || names[s.Name] {
			t.Errorf("the name %q, %v", s.Name, err)
		}
		names[s.Name] = true
		if s.LinkTo != "" {
			continue
		}
		list, errs := streamfile.ParseUnit("x", []byte(s.Text))
		commands := 0
		for _, a := range list {
			known := slices.ContainsFunc(streamfile.Options(), func(o streamfile.Option) bool { return o.Name == a.Key })
			if a.Section != "Stream" || !known || a.Value == "" {
				t.Errorf("[%s] %s=%s in\n%s", a.Section, a.Key, a.Value, s.Text)
			}
			if a.Key == "ExecStart" {
				commands++
				split, err := streamfile.SplitCommands(a.Value)
				if len(split) != 1 || err != nil {
					t.Errorf("%d commands, %v, in\n%s", len(split), err, s.Text)
				}
			}
		}
		if commands != 1 || len(errs) > 0 {
			t.Errorf("%d commands, %v, in\n%s", commands, errs, s.Text)
		}
	}
}

func FuzzSupervisord(f *testing.F) {
	for _, name := range []string{"testdata/supervisord/supervisord.conf", "testdata/supervisord/conf.d/extra.ini"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.ReplaceAll(string(text), "[include]", "[exclude]"))
	}
	f.Add("[program:a b]\n[program:..]\ncommand=x\n[program:x]\ncommand=\\\x00\n[DEFAULT]\nuser=x\n[group:g]\nprograms=x,y\n")
	f.Add("[program:x]\ncommand=a %(process_num)1000d\nnumprocs=3\nprocess_name=%(process_num)s\nenvironment=A=\"\n\",B=\xff\numask=9\n")
	f.Add("[program:x]\ncommand=; # \" '\ndirectory=~\nstdout_logfile=/dev/null\nautostart=0\nstartsecs=-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			return // files of this machine
		}
		file := filepath.Join(t.TempDir(), "x.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := (&Importer{Environ: []string{"A=b c", "RECORD=/bin/true", "KEY=k", "WITH_BLANK=a b"}}).Supervisord([]string{file})
		sound(t, r, map[string]string{file: text})
	})
}

func FuzzSystemd(f *testing.F) {
	f.Add("[Unit]\nDescription=%i $x\n[Service]\nExecStart=/bin/x %i ${A} $A $$ %%03d %n\nEnvironment=A=%i \"B=c d\"\n", "[Service]\nExecStart=\nExecStart=:-@+/bin/y z %I\n", `a\x2db-c`)
	f.Add("[Service]\nExecStart=a ; b\nEnvironmentFile=-/%i\\\nRestartSec=5\nRestartSteps=3\nRestartMaxDelaySec=1h\nTimeoutStopSec=0\n", "", "b")
	f.Add("[Service\nExecStart=%H %j %J %p %P %f %t %d\n[Install]\nWantedBy=x\n", "[Service]\nType=forking\nKillMode=none\n", "x@y")
	f.Fuzz(func(t *testing.T, text, dropIn, instance string) {
		if instance == "" || strings.ContainsAny(instance, "/\x00") || len(instance) > 100 {
			return // no file has such a name
		}
		dir := t.TempDir()
		files := map[string]string{
			filepath.Join(dir, "x.service"):                          text,
			filepath.Join(dir, "t@.service"):                         text,
			filepath.Join(dir, "t@"+instance+".service.d", "a.conf"): dropIn,
		}
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := (&Importer{Hostname: "h"}).Systemd([]string{filepath.Join(dir, "x.service"), filepath.Join(dir, "t@.service"), filepath.Join(dir, "t@plain.service")})
		sound(t, r, files)
	})
}

func FuzzShlex(f *testing.F) {
	for _, s := range []string{`a "b c" 'd'e\ f`, `"\"`, `A="b",C=d # x`, "ü\\\nx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if words, err := shlexSplit(text); err == nil {
			// Each word, quoted as a stream file has it, is read as that word.
			for _, w := range words {
				if strings.IndexByte(w, 0) >= 0 {
					continue
				}
				if again, err := streamfile.SplitWords(streamfile.QuoteWord(w)); err != nil || len(again) != 1 || again[0] != w {
					t.Errorf("%q is written as %s, and read as %q, %v", w, streamfile.QuoteWord(w), again, err)
				}
			}
		}
		_, _ = pairs(text)
		_, _ = pyFormat(text, func(string) (any, bool) { return 7, true })
	})
}
