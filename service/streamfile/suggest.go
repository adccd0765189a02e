package streamfile

import (
	"fmt"
	"strings"
)

// nearest is the candidate that s was probably meant to be; "" if none is
// near: a third of the letters may be wrong, of two none.
func nearest(s string, candidates []string) string {
	best, least := "", max(2, len(s)/3+1)
	if len(s) < 3 {
		least = 1
	}
	if len(s) > 64 {
		return ""
	}
	for _, c := range candidates {
		if strings.EqualFold(s, c) {
			return c
		}
		if n := distance(strings.ToLower(s), strings.ToLower(c)); n < least {
			best, least = c, n
		}
	}
	return best
}

// distance is how many letters have to be changed, added, left out or swapped
// with their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// elsewhere is what users of systemd, and of ffkeeper before it had stream
// files, write for what has another name here.
var elsewhere = map[string]string{
	"execstartpre":            "write CommandBuilder=, or do it in a wrapper",
	"execstartpost":           "write OnRestart=, or watch the StateChanged signal",
	"execcondition":           "write CommandBuilder=, or do it in a wrapper",
	"execreload":              "a stream takes a changed file at its next start",
	"execstop":                "a stream is stopped by q, SIGTERM and at last SIGKILL, see TimeoutStopSec=",
	"execstoppost":            "write OnFailure= or OnRestart=",
	"loadcredential":          "write it in a drop-in of ffkeeper.service, and use the credential by OutputPreset=, EnvironmentCredential= or ${CREDENTIAL_FD:...}",
	"loadcredentialencrypted": "write it in a drop-in of ffkeeper.service, and use the credential by OutputPreset=, EnvironmentCredential= or ${CREDENTIAL_FD:...}",
	"setcredential":           "write it in a drop-in of ffkeeper.service, and use the credential by OutputPreset=, EnvironmentCredential= or ${CREDENTIAL_FD:...}",
	"user":                    "all streams run as the user of ffkeeper-streams.service",
	"group":                   "all streams run as the user of ffkeeper-streams.service",
	"dynamicuser":             "all streams run as the user of ffkeeper-streams.service",
	"before":                  "write After= in the other stream",
	"requiredby":              "write Requires= in the other stream",
	"wantedby":                "write Autostart=yes",
	"wants":                   "write After=, and Autostart=yes in the other stream",
	"bindsto":                 "write Requires=",
	"partof":                  "write Requires=",
	"killmode":                "see TimeoutStopSec=",
	"killsignal":              "see TimeoutStopSec=",
	"watchdogsec":             "write ActivityTimeoutSec=",
	"timeoutsec":              "write TimeoutStartSec= and TimeoutStopSec=",
	"startlimitburst":         "write RestartMaxAttempts=",
	"startlimitintervalsec":   "write RestartMaxAttempts= and RestartResetSec=",
	"restartsteps":            "write RestartFactor=",
	"passenvironment":         "write Environment= or EnvironmentFile=",
	"memorylimit":             "write MemoryMax=",
	"cpushares":               "write CPUWeight=",

	"cmd_builder":           "write CommandBuilder=",
	"stdin_pipe":            "write StandardInput=pipe",
	"stderr_pipe":           "write StandardError=",
	"restart_backoff_base":  "write RestartSec= and RestartFactor=",
	"restart_backoff_max":   "write RestartMaxDelaySec=",
	"max_restarts":          "write RestartMaxAttempts=",
	"health_check_interval": "write HealthCheckSec=",
	"activity_timeout":      "write ActivityTimeoutSec=",
	"on_failure":            "write OnFailure=",
	"on_restart":            "write OnRestart=",
}

// unknownOption is the error for a key that is none. A line that has lost the
// backslash before it begins with anything, a secret too: what does not look
// like an option is not shown. meant is the option that was probably meant, or
// "".
func unknownOption(key string) (p *problem, meant string) {
	for _, s := range table {
		if strings.EqualFold(key, s.Name) {
			return wrong("write "+s.Name+"=", "option names are case-sensitive: there is no %s", quoted(key)), s.Name
		}
	}
	if hint, ok := elsewhere[strings.ToLower(key)]; ok {
		return wrong(hint, "there is no option %s", quoted(key)), ""
	}
	if key == "" || len(key) > 40 || strings.Trim(strings.ToLower(key), "abcdefghijklmnopqrstuvwxyz_") != "" {
		return wrong(`if the line belongs to the one above, that one has to end with \`,
			"what stands before = is no option"), ""
	}
	names := make([]string, len(table))
	for i, s := range table {
		names[i] = s.Name
	}
	hint, near := "", nearest(key, names)
	if near != "" {
		hint = fmt.Sprintf("did you mean %s=?", near)
	}
	return wrong(hint, "there is no option %s", quoted(key)), near
}

// section is the one section of a stream file.
const section = "Stream"

// unknownSection is the error for a section that is none; meant: [Stream] was.
func unknownSection(name string) (p *problem, meant bool) {
	if nearest(name, []string{section}) != "" {
		return wrong("did you mean [Stream]?", "there is no section [%s]", printable(name)), true
	}
	return wrong("all options stand in [Stream]", "there is no section %s", quoted("["+name+"]")), false
}
