// Package dbusapi is the bus face of the keeper: it answers calls on D-Bus,
// keeps properties and announces what happens.
//
// Place in the flow: it is written against service.API. Events come from the
// keeper's subscription into one goroutine, the bus loop, which alone sends
// signals; calls come from the connection's reading goroutine and run on the
// lanes of their senders. org.ffkeeper1.xml is the one source of what there is
// to call: the router takes methods, signatures and properties from it, and
// introspection is made of it. org.freedesktop.LogControl1.xml is the same for
// the one interface that systemctl knows.
//
// Invariants:
//   - a call is decoded only after its signature and size have been checked,
//     and carried out only after its sender has been authorized;
//   - one sender's calls begin in the order they were sent, its slow ones
//     hold up nobody, and no sender can pile up more than its limits;
//   - a panic in a call ends that call;
//   - what happens to the bus happens to nothing else: streams run on, the
//     loop reconnects and takes the name again. Nothing is replayed; clients
//     see NameOwnerChanged and ask GetManagedObjects.
//
// Who may do what: reading is free. Root and the keeper's own user may do
// everything; on the system bus polkit decides about everybody else, on other
// buses nobody else may change anything.
package dbusapi

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
	"github.com/ffkeeper/ffkeeper/service"
)

// Options say where and as what to serve.
type Options struct {
	// Bus is "system", "session" or a D-Bus address. For a private bus give
	// its Address.
	Bus string
	// Polkit asks polkit, on that bus, about callers that are neither root nor
	// the keeper's own user. On the system bus, by name or by address, it is
	// always asked; on any other somebody else could answer in its place.
	Polkit bool
	// Version is the manager's property.
	Version string
	// LogControl is what org.freedesktop.LogControl1 reads and sets; nil: there
	// is no such object.
	LogControl *LogControl
	// Log is for what cannot be told to a caller; nil: nothing is logged.
	Log *slog.Logger
}

// Server is the keeper on a bus. Make it with New, then Run it, once.
type Server struct {
	api  service.API
	opts Options
	log  *slog.Logger

	contract   *contract
	methods    map[string]map[string]*method
	properties []streamProperty
	signalled  map[string]bool // of a stream's properties
	polkit     bool

	readyOnce sync.Once
	ready     chan struct{}
	pings     chan chan *wire.Conn
}

// New prepares a server. It fails for a bus that cannot be meant: an address
// that is none, a session bus where there is no session.
func New(api service.API, opts Options) (*Server, error) {
	s := &Server{
		api:        api,
		opts:       opts,
		log:        opts.Log,
		properties: streamProperties(),
		signalled:  map[string]bool{},
		polkit:     opts.Polkit,
		ready:      make(chan struct{}),
		pings:      make(chan chan *wire.Conn),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	if _, err := wire.ParseAddress(address); err != nil {
		return nil, err
	}
	if system, err := busaddress.Of(busaddress.System, ""); err == nil && address == system {
		s.polkit = true
	}
	if s.contract, err = parseContract(); err != nil {
		return nil, err
	}
	if s.methods, err = buildMethods(s.contract, operations()); err != nil {
		return nil, err
	}
	for _, p := range s.contract.interfaces[streamInterface].Properties {
		s.signalled[p.Name] = emits(p)
	}
	return s, nil
}

// address is looked up anew for each connection.
func (s *Server) address() (string, error) {
	return busaddress.Of(s.opts.Bus, "")
}

// busText is the bus as messages name it.
func (s *Server) busText() string {
	switch s.opts.Bus {
	case busaddress.System, busaddress.Session:
		return s.opts.Bus + " bus"
	}
	return "bus at " + s.opts.Bus
}

// Ready is closed when the name is ours for the first time.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Ping returns nil when the bus face is alive: its loop answers, and the
// goroutine that reads the bus is not stuck in a message. It is for the
// watchdog, so a bus that is away or hangs is no failure, but only a loop
// that hangs, or does not run.
func (s *Server) Ping(ctx context.Context) error {
	answer := make(chan *wire.Conn, 1)
	select {
	case s.pings <- answer:
	case <-ctx.Done():
		return fmt.Errorf("the bus loop does not answer: %w", ctx.Err())
	}
	if conn := <-answer; conn != nil {
		return conn.Probe(ctx)
	}
	return nil
}
