package dbusapi

import (
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

func (c *call) ping() (any, error) { return nil, nil }

// getMachineID answers the id of the host, from where machine-id(5) and the
// D-Bus specification say.
func (c *call) getMachineID() (any, error) {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		data, err := os.ReadFile(file)
		if id := strings.TrimSpace(string(data)); err == nil && len(id) == 32 {
			return clean(id), nil
		}
	}
	return nil, errorf(errFailed, "this host has no machine id")
}

func (c *call) introspect() (any, error) {
	var children []string
	switch c.kind {
	case kindNode:
		switch c.msg.Path {
		case "/":
			children = []string{"org"}
		case "/org":
			children = []string{"ffkeeper1"}
			if c.opts.LogControl != nil {
				children = append(children, "freedesktop")
			}
		default:
			children = []string{"LogControl1"}
		}
	case kindManager:
		children = []string{"stream"}
	case kindStreams:
		for _, name := range c.api.Names() {
			children = append(children, escapeLabel(name))
		}
	}
	if !c.exists() {
		return nil, c.unknownObject()
	}
	return c.contract.introspect(c.kind, children...), nil
}

// propertiesOf are the properties of one interface of the object called.
func (c *call) propertiesOf(iface string) (map[string]dbus.Variant, error) {
	var own string
	switch c.kind {
	case kindManager:
		own = managerInterface
	case kindStream:
		own = streamInterface
	case kindLog:
		own = logControlInterface
	}
	switch {
	case own != "" && (iface == own || iface == ""): // "" is all interfaces, as in sd-bus
	case c.offers(iface):
		if !c.exists() {
			return nil, c.unknownObject()
		}
		return map[string]dbus.Variant{}, nil
	default:
		if !c.exists() {
			return nil, c.unknownObject()
		}
		return nil, errorf(errUnknownInterface, "%s has no interface %s", c.msg.Path, clip(clean(iface)))
	}
	switch {
	case c.kind == kindManager:
		return c.managerProperties(), nil
	case !c.exists():
		return nil, c.unknownObject()
	case c.kind == kindLog:
		return c.opts.LogControl.properties(), nil
	}
	s, err := c.api.Core(c.stream)
	if err != nil {
		return nil, err
	}
	return c.allProperties(s), nil
}

func (c *call) offers(iface string) bool {
	if iface == "" {
		return true
	}
	for _, name := range interfacesOf(c.kind) {
		if name == iface {
			return true
		}
	}
	return false
}

func (c *call) getAllProperties() (any, error) {
	all, err := c.propertiesOf(c.args[0].(string))
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (c *call) getProperty() (any, error) {
	all, err := c.propertiesOf(c.args[0].(string))
	if err != nil {
		return nil, err
	}
	v, ok := all[c.args[1].(string)]
	if !ok {
		return nil, c.unknownProperty()
	}
	return v, nil
}

// setProperty sets what can be set: of the log, and nothing else.
func (c *call) setProperty() (any, error) {
	all, err := c.propertiesOf(c.args[0].(string))
	if err != nil {
		return nil, err
	}
	name := c.args[1].(string)
	if _, ok := all[name]; !ok {
		return nil, c.unknownProperty()
	}
	if c.kind == kindLog {
		if set := c.opts.LogControl.setter(name); set != nil {
			return nil, c.setLogControl(name, set)
		}
	}
	return nil, errorf(errPropertyReadOnly, "property %s cannot be set", name)
}

func (c *call) unknownProperty() error {
	return errorf(errUnknownProperty, "%s has no property %s", c.msg.Path, clip(clean(c.args[1].(string))))
}

// interfaces are an object's interfaces that have properties, as the object
// manager shows them.
type interfaces = map[string]map[string]dbus.Variant

func (c *call) getManagedObjects() (any, error) {
	all := c.api.Cores()
	objects := make(map[dbus.ObjectPath]interfaces, len(all))
	for _, s := range all {
		objects[StreamPath(s.Name)] = interfaces{streamInterface: c.allProperties(s)}
	}
	return objects, nil
}
