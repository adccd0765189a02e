package notify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// JobKind is what the service manager is about to do with our own unit.
type JobKind string

const (
	// JobUnknown: the manager could not be asked.
	JobUnknown JobKind = "unknown"
	// JobNone: nothing that would end the unit. Whoever sent a signal did so
	// on his own.
	JobNone JobKind = "none"
	// JobStop: the unit is to stop, by systemctl stop, because another unit
	// conflicts with it or what it requires stops, or because the host goes
	// down.
	JobStop JobKind = "stop"
	// JobRestart: the unit is to stop and to start again.
	JobRestart JobKind = "restart"
	// JobNoService: this process is not the main process of a service, so
	// there is no unit of its own that a job could be for.
	JobNoService JobKind = "no-service"
)

// jobTime bounds Job as a whole. The manager answers in about a millisecond,
// unless it is reloading or busy with a shutdown, or the host with everything:
// at a load of 12 on two CPUs two seconds were too short.
const jobTime = 5 * time.Second

const systemd = "org.freedesktop.systemd1"

// Job asks the service manager for the job of our own unit, running or
// waiting, within five seconds. With JobUnknown, and only then, there is an
// error. Any user may ask.
//
// The unit needs After=dbus.service: at a shutdown the bus may be gone before
// the answer otherwise; After=dbus.socket does not keep it.
//
// A service of a user's own manager asks that, over the user's bus.
func Job(ctx context.Context) (JobKind, error) { return askManager(ctx, ownUnit) }

// JobOf is Job for the service whose main process is pid.
func JobOf(ctx context.Context, pid int) (JobKind, error) {
	return askManager(ctx, func(ctx context.Context, conn *dbus.Conn) (dbus.BusObject, error) {
		unit, main, err := serviceOf(ctx, conn, pid)
		if err == nil && main != pid {
			err = errNoService
		}
		return unit, err
	})
}

// finder finds a unit.
type finder func(context.Context, *dbus.Conn) (dbus.BusObject, error)

func askManager(ctx context.Context, find finder) (JobKind, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTime)
	defer cancel()
	type answer struct {
		kind JobKind
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		// Not all of godbus heeds the context; what hangs ends with the
		// connection, which does.
		kind, err := job(ctx, find)
		answered <- answer{kind, err}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		a.err = ctx.Err()
	}
	if a.err != nil {
		return JobUnknown, fmt.Errorf("cannot ask the service manager for the job of a service: %w", a.err)
	}
	return a.kind, nil
}

func job(ctx context.Context, find finder) (JobKind, error) {
	connect := dbus.ConnectSystemBus
	if ofUserManager() {
		connect = dbus.ConnectSessionBus
	}
	conn, err := connect(dbus.WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	unit, err := find(ctx, conn)
	if errors.Is(err, errNoService) {
		return JobNoService, nil
	}
	if err != nil {
		return "", err
	}
	for {
		kind, err := jobOf(ctx, conn, unit)
		if isUnknownObject(err) {
			continue // it has been replaced or is done: look again
		}
		return kind, err
	}
}

// ofUserManager tells whether a user's own manager started this process
// ($MANAGERPID in systemd.exec(5)) and not somebody below it.
func ofUserManager() bool {
	return os.Getenv("MANAGERPID") == fmt.Sprint(os.Getppid())
}

var errNoService = errors.New("not the main process of a service")

// ownUnit finds the service whose main process this is. A process in a
// terminal is in some unit, too, and so is a child of a service: $INVOCATION_ID
// is inherited, and only MainPID tells them apart, except where a wrapper is
// the main process, which then has the same invocation and is our parent.
func ownUnit(ctx context.Context, conn *dbus.Conn) (dbus.BusObject, error) {
	unit, main, err := serviceOf(ctx, conn, os.Getpid())
	if err != nil {
		return nil, err
	}
	if main == os.Getpid() {
		return unit, nil
	}
	var invocation []byte
	if err := property(ctx, unit, systemd+".Unit", "InvocationID", &invocation); err != nil {
		return nil, err
	}
	if main == os.Getppid() && hex.EncodeToString(invocation) == os.Getenv("INVOCATION_ID") {
		return unit, nil
	}
	return nil, errNoService
}

// serviceOf finds the service that a process is in, and its main process.
func serviceOf(ctx context.Context, conn *dbus.Conn, pid int) (unit dbus.BusObject, main int, err error) {
	manager := conn.Object(systemd, "/org/freedesktop/systemd1")
	var path dbus.ObjectPath
	err = manager.CallWithContext(ctx, systemd+".Manager.GetUnitByPID", 0, uint32(pid)).Store(&path)
	var failed dbus.Error
	if errors.As(err, &failed) && failed.Name == systemd+".NoUnitForPID" {
		return nil, 0, errNoService
	}
	if err != nil {
		return nil, 0, err
	}
	unit = conn.Object(systemd, path)
	var id string
	if err := property(ctx, unit, systemd+".Unit", "Id", &id); err != nil {
		return nil, 0, err
	}
	if !strings.HasSuffix(id, ".service") {
		return nil, 0, errNoService
	}
	var number uint32
	if err := property(ctx, unit, systemd+".Service", "MainPID", &number); err != nil {
		return nil, 0, err
	}
	return unit, int(number), nil
}

func jobOf(ctx context.Context, conn *dbus.Conn, unit dbus.BusObject) (JobKind, error) {
	var job struct {
		ID   uint32
		Path dbus.ObjectPath
	}
	if err := property(ctx, unit, systemd+".Unit", "Job", &job); err != nil {
		return "", err
	}
	if job.ID == 0 {
		return JobNone, nil
	}
	var kind string
	if err := property(ctx, conn.Object(systemd, job.Path), systemd+".Job", "JobType", &kind); err != nil {
		return "", err
	}
	return kindOf(kind), nil
}

// kindOf reads a job's type (org.freedesktop.systemd1(5)). try-restart and
// such are restart or nothing once the job exists.
func kindOf(jobType string) JobKind {
	switch jobType {
	case "stop":
		return JobStop
	case "restart", "try-restart":
		return JobRestart
	}
	return JobNone
}

func property(ctx context.Context, object dbus.BusObject, iface, name string, value any) error {
	var v dbus.Variant
	err := object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, name).Store(&v)
	if err == nil {
		err = v.Store(value)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, object.Path(), err)
	}
	return nil
}

func isUnknownObject(err error) bool {
	var failed dbus.Error
	return errors.As(err, &failed) && failed.Name == "org.freedesktop.DBus.Error.UnknownObject"
}
