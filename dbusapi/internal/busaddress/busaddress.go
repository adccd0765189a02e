// Package busaddress knows where the buses are that people call by name, for
// the keeper and for its clients alike.
package busaddress

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// The buses with names; anything else is a D-Bus address.
const (
	System  = "system"
	Session = "session"
	Private = "private" // the keeper's own, found through its state directory
)

// ErrNoKeeper: nobody has left the address of a private bus.
var ErrNoKeeper = errors.New("no keeper runs there")

// PrivateFile is the file in a state directory that holds the address of the
// private bus.
func PrivateFile(stateDir string) string { return filepath.Join(stateDir, "bus-address") }

// Of answers the D-Bus address of a bus. stateDir is looked at for Private
// only.
func Of(bus, stateDir string) (string, error) {
	switch bus {
	case System:
		if a := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
			return a, nil
		}
		// The path of the specification is below /var/run, which is /run on
		// every systemd host, and sd-bus uses this one.
		return "unix:path=/run/dbus/system_bus_socket", nil
	case Session:
		return session()
	case Private:
		return private(stateDir)
	}
	return bus, nil
}

// session does not start a bus, as autolaunching would.
func session() (string, error) {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return a, nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = "/run/user/" + strconv.Itoa(os.Geteuid())
	}
	socket := filepath.Join(dir, "bus")
	if _, err := os.Stat(socket); err != nil {
		return "", fmt.Errorf("cannot find the session bus: $DBUS_SESSION_BUS_ADDRESS is not set and there is no %s", socket)
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(socket), nil
}

func private(stateDir string) (string, error) {
	data, err := os.ReadFile(PrivateFile(stateDir))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot find the private bus: there is no %s: %w", PrivateFile(stateDir), ErrNoKeeper)
	}
	if err != nil {
		return "", fmt.Errorf("cannot find the private bus: %w", err)
	}
	address := strings.TrimSpace(string(data))
	if address == "" {
		return "", fmt.Errorf("cannot find the private bus: %s is empty", PrivateFile(stateDir))
	}
	return address, nil
}
