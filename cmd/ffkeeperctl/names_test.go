package main

import (
	"path"
	"slices"
	"testing"
)

func TestExpandTakesNamesAndPatterns(t *testing.T) {
	names := []string{"cam1", "cam2", "cam10", "relay@a", "radio"}
	for _, c := range []struct {
		args, want []string
		unknown    []string
	}{
		{[]string{"cam1"}, []string{"cam1"}, nil},
		{[]string{"cam1.stream"}, []string{"cam1"}, nil},
		{[]string{"cam*"}, []string{"cam1", "cam2", "cam10"}, nil},
		{[]string{"cam?"}, []string{"cam1", "cam2"}, nil},
		{[]string{"relay@*"}, []string{"relay@a"}, nil},
		{[]string{"radio", "cam[12]", "cam1"}, []string{"radio", "cam1", "cam2"}, nil},
		{[]string{"cam3", "cam1"}, []string{"cam1"}, []string{"cam3"}},
		{[]string{"x*"}, nil, []string{"x*"}},
		{[]string{"cam["}, nil, []string{"cam["}},
		{[]string{""}, nil, []string{""}},
		{nil, nil, nil},
	} {
		found, unknown := expand(c.args, names)
		var args []string
		for _, u := range unknown {
			args = append(args, u.arg)
		}
		if !slices.Equal(found, c.want) || !slices.Equal(args, c.unknown) {
			t.Errorf("expand(%q) = %q, %q; want %q, %q", c.args, found, args, c.want, c.unknown)
		}
	}
}

func TestUnknownNameSaysWhatToDo(t *testing.T) {
	for arg, want := range map[string]string{
		"cmа1":  "cmа1: no such stream (ffkeeperctl list shows all; after adding a file: ffkeeperctl reload)", // a Cyrillic а
		"camm1": "camm1: no such stream; did you mean cam1?",
		"x*":    "x*: no stream matches",
	} {
		_, unknown := expand([]string{arg}, []string{"cam1", "radio"})
		if len(unknown) != 1 || unknown[0].text() != want {
			t.Errorf("%s: %v", arg, unknown)
		}
	}
}

func FuzzExpandFindsOnlyWhatMatches(f *testing.F) {
	f.Add("cam*", "cam1")
	f.Add("cam[", "cam[")
	f.Add("[]a]", "a")
	f.Add("x\\", "x")
	f.Fuzz(func(t *testing.T, arg, name string) {
		found, unknown := expand([]string{arg}, []string{name})
		if len(found)+len(unknown) != 1 {
			t.Fatalf("expand(%q, %q) = %q, %v", arg, name, found, unknown)
		}
		if len(found) == 1 && found[0] != name {
			t.Fatalf("found %q", found)
		}
		if ok, err := path.Match(arg, name); ok && err == nil && isGlob(arg) && len(found) == 0 && arg[len(arg)-1] == '*' {
			t.Fatalf("%q matches %q and is not found", arg, name)
		}
		_ = unknown
	})
}

func TestNearestForgivesMoreInLongerNames(t *testing.T) {
	names := []string{"cam1", "list", "restart", "start", "garden-west"}
	for name, want := range map[string]string{
		"cam2": "cam1", "cm1": "cam1", "lsit": "list", "strat": "start", "retsrat": "restart", "graden-wset": "garden-west",
		"bogus": "", "xam2": "", "": "", "c": "", "garden-east": "garden-west",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
