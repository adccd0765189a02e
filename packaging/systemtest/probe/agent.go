package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	polkit     = "org.freedesktop.PolicyKit1"
	authority  = polkit + ".Authority"
	agentPath  = "/org/ffkeeper/test/Agent"
	agentIface = polkit + ".AuthenticationAgent"
)

// identity and subject are polkit's, as its D-Bus interface describes them.
type identity struct {
	Kind    string
	Details map[string]dbus.Variant
}

// asked is a dialog of an agent: each question is printed, and what is read
// from standard input decides: "yes" as an administrator who gave the password,
// "no" as one who closed the window.
type asked struct {
	conn    *dbus.Conn
	answers chan string
	gone    chan string // cookies of questions withdrawn
}

// BeginAuthentication is called by polkit for each question.
func (a *asked) BeginAuthentication(action, message, icon string, details map[string]string, cookie string, who []identity) *dbus.Error {
	fmt.Println("asked", action)
	for {
		select {
		case c := <-a.gone:
			if c == cookie {
				fmt.Println("withdrawn", action)
				return dbus.NewError(polkit+".Error.Cancelled", nil)
			}
		case said := <-a.answers:
			if said != "yes" {
				return dbus.NewError(polkit+".Error.Cancelled", nil)
			}
			// What polkit's own helper, which is root, says after it has
			// checked the password.
			root := identity{"unix-user", map[string]dbus.Variant{"uid": dbus.MakeVariant(uint32(0))}}
			err := a.conn.Object(polkit, "/org/freedesktop/PolicyKit1/Authority").
				Call(authority+".AuthenticationAgentResponse2", 0, uint32(0), cookie, root).Err
			if err != nil {
				return dbus.MakeFailedError(err)
			}
			return nil
		}
	}
}

// CancelAuthentication is called by polkit when nobody wants to know any more.
func (a *asked) CancelAuthentication(cookie string) *dbus.Error {
	a.gone <- cookie
	return nil
}

// agent registers, as root, a dialog for a process.
func agent(pid string) {
	c, err := dbus.ConnectSystemBus()
	if err != nil {
		fatal(err)
	}
	a := &asked{conn: c, answers: make(chan string), gone: make(chan string, 16)}
	if err := c.Export(a, agentPath, agentIface); err != nil {
		fatal(err)
	}
	n, err := strconv.ParseUint(pid, 10, 32)
	if err != nil {
		fatal(err)
	}
	start, uid, err := process(pid)
	if err != nil {
		fatal(err)
	}
	subject := identity{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(n)), "start-time": dbus.MakeVariant(start), "uid": dbus.MakeVariant(uid),
	}}
	err = c.Object(polkit, "/org/freedesktop/PolicyKit1/Authority").
		Call(authority+".RegisterAuthenticationAgent", 0, subject, "C", agentPath).Err
	if err != nil {
		fatal(err)
	}
	fmt.Println("registered")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		a.answers <- lines.Text()
	}
}

// process is when one was started, in ticks since boot, and whose it is.
func process(pid string) (start uint64, uid int32, err error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return 0, 0, err
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nUid:")
	_, err = fmt.Sscan(rest, &uid)
	return start, uid, err
}
