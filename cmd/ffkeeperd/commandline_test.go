package main

import (
	"bytes"
	"strings"
	"testing"
)

// run is commandLine with its output.
func run(args, environ []string) (done bool, code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	_, done, code = commandLine("1.2", args, environ, &out, &errs)
	return done, code, out.String(), errs.String()
}

func TestWrongSettingExits78WithOneLine(t *testing.T) {
	done, code, stdout, stderr := run(nil, []string{"FFKEEPER_LOG=loud"})
	want := "ffkeeperd: FFKEEPER_LOG=loud is not allowed; allowed: auto, journal, text or json\n"
	if !done || code != 78 || stdout != "" || stderr != want {
		t.Errorf("done %v, code %d, stdout %q, stderr %q", done, code, stdout, stderr)
	}
}

func TestCheckSettingsShowsWhatIsInForce(t *testing.T) {
	done, code, stdout, stderr := run([]string{"--check-settings"}, []string{"FFKEEPER_LOG=json", "FFKEEPER_STATE_DIR=/s p"})
	if !done || code != 0 || stderr != "" {
		t.Fatalf("done %v, code %d, stderr %q", done, code, stderr)
	}
	for _, want := range []string{"\nFFKEEPER_LOG=json\n", "\nFFKEEPER_STATE_DIR=/s p\n", "#FFKEEPER_BUS=system\n"} {
		if !strings.Contains("\n"+stdout, want) {
			t.Errorf("lacks %q in\n%s", want, stdout)
		}
	}
}

func TestCheckSettingsFindsWrongOne(t *testing.T) {
	if done, code, _, _ := run([]string{"--check-settings"}, []string{"FFKEEPER_BUS=?"}); !done || code != 78 {
		t.Errorf("done %v, code %d", done, code)
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	done, code, stdout, _ := run([]string{"--help"}, []string{"FFKEEPER_BUS=?"})
	if !done || code != 0 {
		t.Fatalf("done %v, code %d", done, code)
	}
	for _, row := range settingsTable() {
		if !strings.Contains(stdout, "\n"+row.Name+"\n") {
			t.Errorf("help lacks %s", row.Name)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if done, code, stdout, _ := run([]string{"--version"}, nil); !done || code != 0 || stdout != "ffkeeperd 1.2\n" {
		t.Errorf("done %v, code %d, stdout %q", done, code, stdout)
	}
}

func TestUnknownArgumentExits2(t *testing.T) {
	if done, code, _, stderr := run([]string{"--foo"}, nil); !done || code != 2 || !strings.Contains(stderr, "--foo") {
		t.Errorf("done %v, code %d, stderr %q", done, code, stderr)
	}
}

func TestGoodSettingsServe(t *testing.T) {
	done, _, stdout, stderr := run(nil, []string{"FFKEEPER_TYPO=1"})
	if done || stdout != "" || !strings.Contains(stderr, "FFKEEPER_TYPO") {
		t.Errorf("done %v, stdout %q, stderr %q", done, stdout, stderr)
	}
}
