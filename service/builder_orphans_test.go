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

// orphans is a perl script that double-forks orphans under a name until a file
// is there, in sessions of their own, which end at once or some milliseconds
// later.
const orphans = `
	use POSIX ();
	my ($name, $enough) = @ARGV;
	$| = 1;
	print "up\n";
	my @between;
	my ($i, $last) = (0, 0);
	until ($last) {
		$i++;
		$last = $i % 20 == 0 && -e $enough;
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
		if (@between == 20) { waitpid($_, 0) for splice @between; }
	}
	print "made $i\n";
	sleep 1000;
`

// TestABuildersStatusIsItsOwnBesideAFloodOfOrphans: whoever reaps what
// comes along, instead of what it knows to be an orphan, takes a builder's
// status now and then. The builders make orphans themselves.
func TestABuildersStatusIsItsOwnBesideAFloodOfOrphans(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("orph-%d", os.Getpid())
	k := newKeeper(t, map[string]string{
		"factory": "Type=simple\nExecStart=perl @WORK@/orphans.pl " + name + " @WORK@/enough",
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
	for code := range 120 {
		if s := k.snap("factory"); s.State != stream.StateRunning {
			t.Fatalf("the factory is %s: %v", s.State, s.Lines)
		}
		write("code", fmt.Sprintln(code))
		_, err := k.Start(k.ctx(), "built", service.CallOptions{})
		if code == 0 {
			if err != nil {
				t.Fatalf("the builder that ends with %d: %v", code, err)
			}
			if s := k.stop("built"); s.ExitCodes[len(s.ExitCodes)-1] != -15 {
				t.Errorf("what it has built ended with %v", s.ExitCodes)
			}
			continue
		}
		if want := fmt.Sprintf("exited with code %d: code was %d", code, code); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("the builder that ends with %d: %v, want %q", code, err, want)
		}
	}
	write("enough", "")
	k.until("factory", "its last words", func(s *stream.Snapshot) bool {
		made := 0
		fmt.Sscanf(s.Lines[len(s.Lines)-1].Text, "made %d", &made)
		if made > 0 && made < 300 {
			t.Errorf("only %d orphans came meanwhile: nothing was shown", made)
		}
		return made > 0
	})
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
