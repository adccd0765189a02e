package notify_test

import (
	"strings"
	"testing"
	"time"
)

// unit is a jobservice that writes to /out/NAME, with more lines in [Unit]
// and [Service].
func unit(name, unitLines, serviceLines string) string {
	return "[Unit]\nStartLimitIntervalSec=0\nRequires=dbus.socket\nAfter=dbus.service\n" + unitLines +
		"\n[Service]\nType=notify\nUser=nobody\nRestart=always\nRestartSec=0\nExecStart=/usr/local/bin/jobservice /out/" + name +
		"\n" + serviceLines + "\n"
}

const services = "/etc/systemd/system/"

func TestJobOnSystemd(t *testing.T) {
	h := boot(t, map[string]string{
		services + "job.service":     unit("job", "", ""),
		services + "rival.service":   "[Unit]\nConflicts=job.service\n[Service]\nExecStart=/bin/sleep 1000\n",
		services + "needed.service":  "[Service]\nExecStart=/bin/sleep 1000\n",
		services + "needing.service": unit("needing", "Requires=needed.service\nAfter=needed.service", ""),
		services + "wrapped.service": strings.ReplaceAll(unit("wrapped", "", "NotifyAccess=all\nKillMode=control-group"), "ExecStart=", "ExecStart=/bin/sh -c 'trap : TERM; \"$$@\" & wait; wait' sh "),
	})
	want := []string{}
	expect := func(what, kind string) {
		t.Helper()
		t.Log(what)
		want = append(want, kind)
		h.writes("job", want...)
	}
	started := func() {
		t.Helper()
		h.run("systemctl", "start", "job.service")
		h.becomes("job.service", "SubState", "running")
	}

	started()
	h.run("systemctl", "stop", "job.service")
	expect("systemctl stop", "stop")

	started()
	h.run("systemctl", "restart", "job.service")
	expect("systemctl restart", "restart")
	h.becomes("job.service", "SubState", "running")

	h.run("systemctl", "try-restart", "job.service")
	expect("systemctl try-restart", "restart")
	h.run("systemctl", "reload-or-restart", "job.service")
	expect("systemctl reload-or-restart", "restart")

	h.run("kill", "-TERM", h.run("systemctl", "show", "job.service", "-P", "MainPID"))
	expect("kill -TERM", "none")
	h.becomes("job.service", "NRestarts", "1")
	h.becomes("job.service", "SubState", "running")
	h.run("systemctl", "kill", "job.service")
	expect("systemctl kill", "none")
	h.becomes("job.service", "NRestarts", "2")
	h.becomes("job.service", "SubState", "running")

	h.run("systemctl", "start", "rival.service")
	expect("a conflicting unit is started", "stop")
	h.run("systemctl", "stop", "rival.service")

	h.run("systemctl", "start", "needing.service")
	h.run("systemctl", "restart", "needed.service")
	h.writes("needing", "restart") // a required unit is restarted
	h.becomes("needing.service", "SubState", "running")
	h.run("systemctl", "stop", "needed.service")
	h.writes("needing", "restart", "stop") // a required unit is stopped

	h.run("systemctl", "start", "wrapped.service")
	h.run("systemctl", "stop", "wrapped.service")
	h.writes("wrapped", "stop") // behind a shell

	h.run("jobservice", "/out/outside", "once")
	h.run("systemd-run", "-q", "--scope", "jobservice", "/out/scope", "once")
	h.run("systemd-run", "-q", "--wait", "sh", "-c", "sh -c 'jobservice /out/grandchild once; :'; :")
	for _, name := range []string{"outside", "scope", "grandchild"} {
		h.writes(name, "no-service,_error_<nil>")
	}

	started()
	h.command("systemctl", "poweroff") // its connection may be cut
	select {
	case <-h.exited:
	case <-time.After(limit):
		t.Fatal("the host does not power off")
	}
	expect("poweroff", "stop")
}

// A user's own manager has its own units, and the system's manager knows of
// no job for them.
func TestJobOfAUsersManager(t *testing.T) {
	h := boot(t, map[string]string{
		"/etc/systemd/user/job.service": "[Service]\nType=notify\nExecStart=/usr/local/bin/jobservice /out/job\n",
	})
	h.run("systemctl", "start", "user@0.service")
	systemctl := func(args ...string) {
		t.Helper()
		h.run(append([]string{"env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user"}, args...)...)
	}
	systemctl("start", "job.service")
	systemctl("restart", "job.service")
	systemctl("stop", "job.service")
	systemctl("start", "job.service")
	systemctl("kill", "job.service")
	h.writes("job", "restart", "stop", "none")
}
