package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
)

// The actions of org.ffkeeper1.policy.
const (
	actionManage     = "org.ffkeeper1.manage-streams"
	actionWriteStdin = "org.ffkeeper1.write-stdin"
	actionReload     = "org.ffkeeper1.reload"
)

const (
	polkitName      = "org.freedesktop.PolicyKit1"
	polkitPath      = "/org/freedesktop/PolicyKit1/Authority"
	polkitInterface = "org.freedesktop.PolicyKit1.Authority"

	// polkitInteraction is AllowUserInteraction of CheckAuthorizationFlags.
	polkitInteraction = 1

	// A person may think for a while before the password is typed; polkit
	// alone has no reason to.
	polkitTimeout            = 25 * time.Second
	polkitInteractionTimeout = 5 * time.Minute

	// maxKnownUIDs bounds what is remembered of callers; each asks the bus once.
	maxKnownUIDs = 4096
)

// authorizer says who may do what. Reading is free and does not come here.
// Root and the keeper's own user may do everything; others only what polkit
// says, and where polkit is not asked or does not answer, nothing.
//
// It belongs to one connection, for a bus that starts anew gives the same
// unique names to others.
type authorizer struct {
	conn   *wire.Conn
	own    uint32
	polkit bool // ask it, on this connection

	mu   sync.Mutex
	uids map[string]uint32 // by unique name

	checks atomic.Uint64 // for cancellation ids
}

func newAuthorizer(conn *wire.Conn, own uint32, polkit bool) *authorizer {
	return &authorizer{conn: conn, own: own, polkit: polkit, uids: map[string]uint32{}}
}

// request is what somebody wants to do.
type request struct {
	sender      string
	action      string
	verb        string // for polkit's rules: the method
	stream      string // for polkit's rules: "" for all streams
	interactive bool   // the caller lets polkit ask a person
}

// authorize returns nil when the sender may. ctx ends when the sender has
// gone; a question to a person is withdrawn then.
func (a *authorizer) authorize(ctx context.Context, r request) error {
	uid, ok, err := a.isTrusted(ctx, r.sender, r.verb)
	if err != nil || ok {
		return err
	}
	if !a.polkit {
		return errorf(errAccessDenied, "cannot %s: only root and uid %d may on this bus, not uid %d", r.verb, a.own, uid)
	}
	return a.askPolkit(ctx, r)
}

// trusted returns nil when the sender is root or the keeper's own user: what
// polkit has no say in.
func (a *authorizer) trusted(ctx context.Context, sender, verb string) error {
	uid, ok, err := a.isTrusted(ctx, sender, verb)
	if err == nil && !ok {
		err = errorf(errAccessDenied, "cannot %s: only root and uid %d may, not uid %d", verb, a.own, uid)
	}
	return err
}

func (a *authorizer) isTrusted(ctx context.Context, sender, verb string) (uid uint32, ok bool, err error) {
	if uid, err = a.uidOf(ctx, sender); err != nil {
		return 0, false, errorf(errAccessDenied, "cannot %s: cannot find out who asks: %v", verb, err)
	}
	return uid, uid == 0 || uid == a.own, nil
}

// uidOf is the uid of a connection of the bus.
func (a *authorizer) uidOf(ctx context.Context, sender string) (uint32, error) {
	a.mu.Lock()
	uid, ok := a.uids[sender]
	a.mu.Unlock()
	if ok {
		return uid, nil
	}
	ctx, cancel := context.WithTimeout(ctx, polkitTimeout)
	defer cancel()
	values, err := a.conn.Call(ctx, wire.BusName, wire.BusPath, wire.BusInterface, "GetConnectionUnixUser", sender)
	if err == nil {
		err = dbus.Store(values, &uid)
	}
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.uids) >= maxKnownUIDs {
		clear(a.uids)
	}
	a.uids[sender] = uid
	return uid, nil
}

// gone forgets a connection that has left the bus.
func (a *authorizer) gone(sender string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.uids, sender)
}

// polkitSubject is a Subject of polkit's D-Bus interface: the bus vouches for
// the sender's name, and polkit asks the bus who that is.
type polkitSubject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// polkitResult is an AuthorizationResult.
type polkitResult struct {
	Authorized bool
	Challenge  bool // a person could authorize it
	Details    map[string]string
}

func (a *authorizer) askPolkit(ctx context.Context, r request) error {
	flags, timeout := uint32(0), polkitTimeout
	if r.interactive {
		flags, timeout = polkitInteraction, polkitInteractionTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	details := map[string]string{"verb": r.verb}
	if r.stream != "" {
		details["stream"] = clean(r.stream)
	}
	id := "ffkeeper-" + strconv.FormatUint(a.checks.Add(1), 10)
	subject := polkitSubject{"system-bus-name", map[string]dbus.Variant{"name": variantString(r.sender)}}
	values, err := a.conn.Call(ctx, polkitName, polkitPath, polkitInterface, "CheckAuthorization",
		subject, r.action, details, flags, id)
	var result polkitResult
	if err == nil {
		err = dbus.Store(values, &result)
	}
	switch {
	case ctx.Err() != nil:
		a.withdraw(id)
		return errorf(errAccessDenied, "cannot %s: polkit has not answered for %s: %v", r.verb, r.action, ctx.Err())
	case err != nil:
		return errorf(errAccessDenied, "cannot %s: cannot ask polkit for %s: %s", r.verb, r.action, describePolkit(err))
	case result.Authorized:
		return nil
	case result.Challenge && !r.interactive:
		return errorf(errInteractiveNeeded, "cannot %s: %s needs a password", r.verb, r.action)
	}
	return errorf(errAccessDenied, "cannot %s: polkit does not allow %s", r.verb, r.action)
}

// withdraw takes a question back, so that no dialog remains that decides
// nothing.
func (a *authorizer) withdraw(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	a.conn.Call(ctx, polkitName, polkitPath, polkitInterface, "CancelCheckAuthorization", id)
}

func describePolkit(err error) string {
	var e dbus.Error
	if errors.As(err, &e) {
		switch e.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
			return "it does not run"
		}
		return fmt.Sprintf("%s (%s)", e.Error(), e.Name)
	}
	return err.Error()
}
