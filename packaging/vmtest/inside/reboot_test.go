//go:build vmtest

package inside

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/packaging/systemtest"
)

const (
	rebootTest = "TestRebootFinishesRecordingsAndStartsStreamsAgain"
	rebooted   = "/vmtest/rebooted"       // there from the reboot on
	saved      = "/vmtest/recordings"     // what was recorded before and after it
	rebooting  = "/run/vmtest-reboots"    // tells run-tests that we are not the last
	rebootFile = streamDir + "rec.stream" // the stream that is there meanwhile
)

// TestMain reboots the machine before the first test, if the one that looks at
// what that did is among those to run: no test survives a reboot.
func TestMain(m *testing.M) {
	flag.Parse()
	if selected(rebootTest) {
		step := reboot
		if _, err := os.Stat(rebooted); err == nil {
			step = afterReboot
		}
		if err := step(); err != nil {
			fmt.Fprintf(os.Stderr, "the reboot before the tests: %v\n", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func selected(test string) bool {
	pattern, _, _ := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
	ok, err := regexp.MatchString(pattern, test)
	return ok && err == nil
}

// reboot does not return where it succeeds.
func reboot() error {
	if err := os.WriteFile(rebootFile, []byte(recording), 0o644); err != nil {
		return err
	}
	if err := command("systemctl", "enable", "-q", "--now", "ffkeeper"); err != nil {
		return err
	}
	if err := delivers("rec"); err != nil {
		return err
	}
	for _, file := range []string{rebooted, rebooting} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return err
		}
	}
	killed := make(chan os.Signal, 1)
	signal.Notify(killed, syscall.SIGTERM)
	if err := command("systemctl", "reboot"); err != nil {
		return err
	}
	<-killed
	os.Exit(0)
	return nil
}

// afterReboot keeps what there is to see, so that other tests can begin anew.
func afterReboot() error {
	if err := delivers("rec"); err != nil {
		return err
	}
	if err := command("systemctl", "disable", "-q", "--now", "ffkeeper", "ffkeeper-streams.socket"); err != nil {
		return err
	}
	if err := os.Remove(rebootFile); err != nil {
		return err
	}
	return command("mv", outDir, saved)
}

// command runs a program that must succeed.
func command(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// delivers waits until a stream delivers for the first time since booting.
func delivers(stream string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	journal := exec.CommandContext(ctx, "journalctl", "-b", "-f", "--no-tail", "-o", "cat", "FFKEEPER_STREAM="+stream, "FFKEEPER_EVENT=delivering")
	out, err := journal.StdoutPipe()
	if err == nil {
		err = journal.Start()
	}
	if err != nil {
		return err
	}
	_, readErr := bufio.NewReader(out).ReadString('\n')
	cancel()
	journal.Wait()
	if readErr != nil {
		log, _ := exec.Command("journalctl", "-b", "--no-pager", "-n", "60").Output()
		return fmt.Errorf("%s has not delivered within %v; the journal ends\n%s", stream, patience, log)
	}
	return nil
}

func TestRebootFinishesRecordingsAndStartsStreamsAgain(t *testing.T) {
	files, err := filepath.Glob(saved + "/rec-*.mp4")
	if err != nil || len(files) != 2 {
		t.Fatalf("want a recording of before and one of after the reboot: %v, %v", files, err)
	}
	for _, file := range files {
		playable(t, file)
	}
	h := systemtest.Here(t)
	if r := h.Journal("-b", "-1", "-t", "rec", "-g", "command received|received signal"); len(r) != 1 || !strings.Contains(r[0]["MESSAGE"], "[q]") {
		t.Errorf("at the reboot ffmpeg was stopped by %v", r)
	}
	for _, unit := range []string{"ffkeeper.service", "ffkeeper-streams.service"} {
		if r := h.Journal("-b", "-1", "_PID=1", "UNIT="+unit, "-g", "Deactivated successfully"); len(r) != 1 {
			t.Errorf("at the reboot %s did not end well: systemd says\n%v", unit, h.Journal("-b", "-1", "_PID=1", "UNIT="+unit))
		}
	}
}
