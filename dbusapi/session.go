package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
)

const (
	busName = "org.ffkeeper1"

	// dialTimeout bounds connecting to a bus and getting the name.
	dialTimeout = 20 * time.Second
)

// session is one connection to the bus and all that is true only as long as
// it lasts: who is who, and whose calls wait.
type session struct {
	*Server
	conn  *wire.Conn
	auth  *authorizer
	lanes *lanes
	// running ends with the server, not with the connection.
	running context.Context
	cancel  context.CancelFunc
}

// errName is a failure to get the name, which trying again soon cannot mend.
type errName struct{ error }

func (e errName) Unwrap() error { return e.error }

// open connects and takes the name. Calls are answered from before the name is
// ours, so none that it brings finds nobody. ctx is for the attempt, running
// for the session.
func (s *Server) open(ctx, running context.Context) (*session, error) {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	ses := &session{Server: s, running: running}
	var laneCtx context.Context
	laneCtx, ses.cancel = context.WithCancel(running)
	ses.lanes = newLanes(laneCtx)
	ready := make(chan struct{})
	ses.conn, err = wire.Dial(dial, address, func(_ *wire.Conn, m *wire.Message) {
		<-ready // closed as soon as Dial has returned
		if ses.auth != nil {
			ses.received(m)
		}
	})
	if err == nil {
		ses.auth = newAuthorizer(ses.conn, uint32(os.Geteuid()), s.polkit)
	}
	close(ready)
	if err != nil {
		ses.cancel()
		return nil, fmt.Errorf("cannot connect to the %s: %w", s.busText(), err)
	}
	context.AfterFunc(laneCtx, func() { ses.conn.Close() })
	if err := ses.introduce(dial); err != nil {
		ses.close()
		return nil, err
	}
	return ses, nil
}

func (ses *session) introduce(ctx context.Context) error {
	// Unique names that cease to exist: senders that have left.
	rule := "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"
	if _, err := ses.bus(ctx, "AddMatch", rule); err != nil {
		return fmt.Errorf("cannot watch the %s: %w", ses.busText(), err)
	}
	values, err := ses.bus(ctx, "RequestName", busName, uint32(dbus.NameFlagDoNotQueue))
	var code uint32
	if err == nil {
		err = dbus.Store(values, &code)
	}
	var refused dbus.Error
	switch {
	case errors.As(err, &refused) && refused.Name == errAccessDenied:
		return errName{fmt.Errorf("cannot own %s on the %s: uid %d may not (is org.ffkeeper1.conf among the bus's policies?): %w", busName, ses.busText(), os.Geteuid(), err)}
	case err != nil:
		return fmt.Errorf("cannot own %s on the %s: %w", busName, ses.busText(), err)
	case dbus.RequestNameReply(code) != dbus.RequestNameReplyPrimaryOwner:
		return errName{fmt.Errorf("cannot own %s on the %s: %s owns it", busName, ses.busText(), ses.owner(ctx))}
	}
	return nil
}

// owner describes who has our name.
func (ses *session) owner(ctx context.Context) string {
	var name string
	var pid uint32
	values, err := ses.bus(ctx, "GetNameOwner", busName)
	if err == nil {
		err = dbus.Store(values, &name)
	}
	if err != nil {
		return "somebody"
	}
	values, err = ses.bus(ctx, "GetConnectionUnixProcessID", name)
	if err == nil {
		err = dbus.Store(values, &pid)
	}
	if err != nil {
		return name
	}
	return fmt.Sprintf("process %d (%s)", pid, name)
}

func (ses *session) bus(ctx context.Context, member string, args ...any) ([]any, error) {
	return ses.conn.Call(ctx, wire.BusName, wire.BusPath, wire.BusInterface, member, args...)
}

// close ends the session; calls in work learn it by their contexts.
func (ses *session) close() {
	ses.cancel()
	ses.conn.Close()
}

// received runs on the goroutine that reads the bus.
func (ses *session) received(m *wire.Message) {
	if m.Type == dbus.TypeSignal {
		ses.signal(m)
		return
	}
	silent := m.Flags&dbus.FlagNoReplyExpected != 0
	if silent && !ses.changes(m.Member) {
		return // reading for nobody
	}
	if !ses.lanes.submit(m.Sender, len(m.Body), ses.handsOut(m.Member), func(ctx context.Context, mayWait func()) { ses.serve(ctx, m, mayWait) }) && !silent {
		m.Body = nil
		refuse := func() {
			ses.conn.ReplyError(m, errLimitsExceeded, "too many calls at once from this connection")
		}
		if !ses.lanes.refuse(m.Sender, refuse) {
			refuse()
		}
	}
	// In a flood there is always one more to read; what is queued comes first.
	runtime.Gosched()
}

// changes says whether a method of that name does more than tell something.
func (ses *session) changes(member string) bool {
	if member == "Set" {
		return true
	}
	for _, iface := range []string{managerInterface, streamInterface} {
		if m := ses.methods[iface][member]; m != nil && m.action != "" {
			return true
		}
	}
	return false
}

// handsOut says whether a method of that name answers with a descriptor. Its
// interface need not be known: a caller may leave it out.
func (ses *session) handsOut(member string) bool {
	for _, iface := range []string{managerInterface, streamInterface} {
		if m := ses.methods[iface][member]; m != nil && m.out == "h" {
			return true
		}
	}
	return false
}

func (ses *session) signal(m *wire.Message) {
	if m.Sender != wire.BusName {
		return
	}
	switch m.Member {
	case "NameOwnerChanged":
		values := m.Values()
		if name := values.String(); !values.Bad() && strings.HasPrefix(name, ":") {
			ses.lanes.gone(name)
			ses.auth.gone(name)
		}
	case "NameLost":
		if values := m.Values(); values.String() == busName {
			ses.log.Error("lost the D-Bus name", "name", busName)
			ses.conn.Close() // and try to get it again
		}
	}
}
