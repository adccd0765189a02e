package dbusapi

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// contractXML is the D-Bus interface as people read it, and the one source
// from which methods, signatures and properties are taken.
//
//go:embed org.ffkeeper1.xml
var contractXML string

const (
	managerInterface       = "org.ffkeeper1.Manager"
	streamInterface        = "org.ffkeeper1.Stream"
	peerInterface          = "org.freedesktop.DBus.Peer"
	introspectInterface    = "org.freedesktop.DBus.Introspectable"
	propertiesInterface    = "org.freedesktop.DBus.Properties"
	objectManagerInterface = "org.freedesktop.DBus.ObjectManager"

	emitsChanged = "org.freedesktop.DBus.Property.EmitsChangedSignal"
)

// standardXML is what the D-Bus specification says of the interfaces that
// every object, or every object with children, has.
const standardXML = `<node>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId"><arg name="machine_uuid" type="s" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect"><arg name="xml_data" type="s" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get"><arg name="interface_name" type="s" direction="in"/><arg name="property_name" type="s" direction="in"/><arg name="value" type="v" direction="out"/></method>
    <method name="GetAll"><arg name="interface_name" type="s" direction="in"/><arg name="props" type="a{sv}" direction="out"/></method>
    <method name="Set"><arg name="interface_name" type="s" direction="in"/><arg name="property_name" type="s" direction="in"/><arg name="value" type="v" direction="in"/></method>
    <signal name="PropertiesChanged"><arg name="interface_name" type="s"/><arg name="changed_properties" type="a{sv}"/><arg name="invalidated_properties" type="as"/></signal>
  </interface>
  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects"><arg name="objects" type="a{oa{sa{sv}}}" direction="out"/></method>
    <signal name="InterfacesAdded"><arg name="object" type="o"/><arg name="interfaces" type="a{sa{sv}}"/></signal>
    <signal name="InterfacesRemoved"><arg name="object" type="o"/><arg name="interfaces" type="as"/></signal>
  </interface>
</node>`

// kind is a kind of object.
type kind int

const (
	kindNone    kind = iota // there is nothing
	kindNode                // only has children: /, /org, /org/freedesktop
	kindManager             // /org/ffkeeper1
	kindStreams             // /org/ffkeeper1/stream
	kindLog                 // /org/freedesktop/LogControl1
	kindStream              // a stream
)

// interfacesOf are the interfaces of an object, in the order they are shown.
func interfacesOf(k kind) []string {
	common := []string{peerInterface, introspectInterface, propertiesInterface}
	switch k {
	case kindManager:
		return append([]string{managerInterface, objectManagerInterface}, common...)
	case kindStream:
		return append([]string{streamInterface}, common...)
	case kindLog:
		return append([]string{logControlInterface}, common...)
	case kindNode, kindStreams:
		return common
	}
	return nil
}

// contract is the parsed XML.
type contract struct {
	interfaces map[string]*introspect.Interface
	// body is the introspection of each kind of object without the children
	// that come and go, and without the closing </node>.
	body map[kind]string
}

func parseContract() (*contract, error) {
	c := &contract{interfaces: map[string]*introspect.Interface{}, body: map[kind]string{}}
	for _, text := range []string{contractXML, logControlXML, standardXML} {
		var node introspect.Node
		if err := xml.Unmarshal([]byte(text), &node); err != nil {
			return nil, fmt.Errorf("cannot read the D-Bus contract: %w", err)
		}
		for i := range node.Interfaces {
			c.interfaces[node.Interfaces[i].Name] = &node.Interfaces[i]
		}
	}
	for k := kindNode; k <= kindStream; k++ {
		var node introspect.Node
		for _, name := range interfacesOf(k) {
			iface, ok := c.interfaces[name]
			if !ok {
				return nil, fmt.Errorf("cannot read the D-Bus contract: there is no interface %s", name)
			}
			node.Interfaces = append(node.Interfaces, *iface)
		}
		text, err := xml.MarshalIndent(node, "", " ")
		if err != nil {
			return nil, fmt.Errorf("cannot write the introspection: %w", err)
		}
		c.body[k] = introspect.IntrospectDeclarationString + strings.TrimSuffix(string(text), "</node>")
	}
	return c, nil
}

// introspect is the XML of an object with these children.
func (c *contract) introspect(k kind, children ...string) string {
	body := c.body[k]
	var b strings.Builder
	b.Grow(len(body) + 64*len(children) + 8)
	b.WriteString(body)
	for _, child := range children {
		b.WriteString(` <node name="`)
		b.WriteString(child) // letters, digits and _ only
		b.WriteString("\"/>\n")
	}
	b.WriteString("</node>")
	return b.String()
}

// signatures are those of a method's arguments and of its results.
func signatures(m introspect.Method) (in, out string) {
	for _, a := range m.Args {
		if a.Direction == "out" {
			out += a.Type
		} else {
			in += a.Type
		}
	}
	return in, out
}

// emits reports whether a change of the property is signalled.
func emits(p introspect.Property) bool {
	return !slices.ContainsFunc(p.Annotations, func(a introspect.Annotation) bool {
		return a.Name == emitsChanged && a.Value != "true"
	})
}

// place says what is at a path; for a stream it does not look whether it
// exists.
func place(path dbus.ObjectPath) (k kind, stream string) {
	switch path {
	case "/", "/org", "/org/freedesktop":
		return kindNode, ""
	case logControlPath:
		return kindLog, ""
	case managerPath:
		return kindManager, ""
	case streamsPath:
		return kindStreams, ""
	}
	if name, ok := StreamName(path); ok {
		return kindStream, name
	}
	return kindNone, ""
}
