package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// orphans is a perl script that double-forks N orphans under a name, in
// sessions of their own, which end at once or some milliseconds later.
const orphans = `
	use POSIX ();
	my ($name, $n) = @ARGV;
	$| = 1;
	print "up\n";
	my @between;
	for my $i (1..$n) {
		my $p = fork // die "fork: $!";
		if (!$p) {
			my $q = fork // die "fork: $!";
			if (!$q) {
				$0 = $name;
				POSIX::setsid() if $i % 3;
				select(undef, undef, undef, 0.001 * ($i % 7)) if $i % 2;
			}
			POSIX::_exit(0);
		}
		push @between, $p;
		if (@between == 20 || $i == $n) { waitpid($_, 0) for splice @between; }
	}
	print "made\n";
	sleep 1000;
`

// TestABuildersStatusIsItsOwnBesideThousandsOfOrphans: whoever reaps what
// comes along, instead of what it knows to be an orphan, takes a builder's
// status now and then. The builders make orphans themselves.
func TestABuildersStatusIsItsOwnBesideThousandsOfOrphans(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("orph-%d", os.Getpid())
	k := newKeeper(t, map[string]string{
		"factory": "Type=simple\nExecStart=perl @WORK@/orphans.pl " + name + " 2000",
		// The test says how it is to end.
		"built": "Type=simple\nRestartSec=1h\nRestartMaxDelaySec=1h\n" +
			`CommandBuilder=sh -c "(sleep 0.001 &); read code < @WORK@/code; echo '[\"sleep\", \"1000\"]'; echo code was $code >&2; exit $code"`,
	})
	write := func(file, text string) {
		if err := os.WriteFile(k.path(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("orphans.pl", orphans)
	k.start("factory")
	k.until("factory", "its first words", func(s *stream.Snapshot) bool { return saidTimes(s, "up") == 1 })
	builders := 0
	for saidTimes(k.snap("factory"), "made") == 0 {
		if s := k.snap("factory"); s.State != stream.StateRunning {
			t.Fatalf("the factory is %s: %v", s.State, s.Lines)
		}
		code := builders % 200
		builders++
		write("code", fmt.Sprintln(code))
		_, err := k.Start(k.ctx(), "built", service.CallOptions{})
		if code == 0 {
			if err != nil {
				t.Fatalf("builder %d: %v", builders, err)
			}
			if s := k.stop("built"); s.ExitCodes[len(s.ExitCodes)-1] != -15 {
				t.Errorf("what builder %d has built ended with %v", builders, s.ExitCodes)
			}
			continue
		}
		if want := fmt.Sprintf("exited with code %d: code was %d", code, code); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("builder %d: %v, want %q", builders, err, want)
		}
	}
	t.Logf("%d builders", builders)
	if builders < 10 {
		t.Errorf("only %d builders ran meanwhile: nothing was shown", builders)
	}
	k.until("factory", "the end of every orphan", func(*stream.Snapshot) bool { return named(name) == 0 })
}

// named is how many processes have that name, zombies too.
func named(name string) (n int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		// A zombie has no command line any more, but still its name.
		if b, err := os.ReadFile(d + "/comm"); err == nil && strings.TrimSpace(string(b)) == name {
			n++
		}
	}
	return n
}
