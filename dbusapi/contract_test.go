package dbusapi

import (
	"encoding/xml"
	"maps"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
)

// described is the XML as it stands in the repository.
func described(t *testing.T) map[string]introspect.Interface {
	t.Helper()
	return byName(t, contractXML)
}

func byName(t *testing.T, text string) map[string]introspect.Interface {
	t.Helper()
	var node introspect.Node
	if err := xml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	all := map[string]introspect.Interface{}
	for _, i := range node.Interfaces {
		all[i.Name] = i
	}
	return all
}

func introspection(t *testing.T, c *dbus.Conn, path dbus.ObjectPath) (map[string]introspect.Interface, []string) {
	t.Helper()
	var text string
	if err := c.Object(busName, path).Call(introspectInterface+".Introspect", 0).Store(&text); err != nil {
		t.Fatal(path, err)
	}
	var node introspect.Node
	if err := xml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatalf("%s: %v in\n%s", path, err, text)
	}
	var children []string
	for _, c := range node.Children {
		children = append(children, c.Name)
	}
	return byName(t, text), children
}

func TestIntrospectionIsTheContract(t *testing.T) {
	r := start(t, fakekeeper.New("cam1", "cam-2", "9"))
	c := r.connect(t)
	standard := []string{introspectInterface, peerInterface, propertiesInterface}
	for path, want := range map[dbus.ObjectPath]struct{ interfaces, children []string }{
		"/":                {standard, []string{"org"}},
		"/org":             {standard, []string{"ffkeeper1"}},
		managerPath:        {append([]string{managerInterface, objectManagerInterface}, standard...), []string{"stream"}},
		streamsPath:        {standard, []string{"_39", "cam1", "cam_2d2"}},
		StreamPath("cam1"): {append([]string{streamInterface}, standard...), nil},
		StreamPath("9"):    {append([]string{streamInterface}, standard...), nil},
	} {
		got, children := introspection(t, c, path)
		slices.Sort(children)
		slices.Sort(want.interfaces)
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want.interfaces) {
			t.Errorf("%s has %v", path, names)
		}
		if !slices.Equal(children, want.children) {
			t.Errorf("%s has children %v", path, children)
		}
		for name, iface := range described(t) {
			if running, ok := got[name]; ok {
				if d := cmp.Diff(iface, running, cmpopts.EquateEmpty()); d != "" {
					t.Errorf("%s at %s: %s", name, path, d)
				}
			}
		}
	}
}

func TestContractAndCodeHaveTheSameProperties(t *testing.T) {
	var names []string
	for _, p := range described(t)[streamInterface].Properties {
		names = append(names, p.Name+" "+p.Type)
	}
	var coded []string
	for _, p := range streamProperties() {
		coded = append(coded, p.name+" "+p.value(fakekeeper.Full("x", 1)).Signature().String())
	}
	if !slices.Equal(names, coded) {
		t.Errorf("XML %v\ncode %v", names, coded)
	}

	s, err := New(fakekeeper.New("x"), Options{Bus: "unix:path=/x", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	all := s.managerProperties()
	for _, p := range described(t)[managerInterface].Properties {
		if got := all[p.Name].Signature().String(); got != p.Type {
			t.Errorf("%s is of type %q, not %q", p.Name, got, p.Type)
		}
		delete(all, p.Name)
	}
	for name := range all {
		t.Errorf("%s is not in the XML", name)
	}
	if s.signalled["Name"] || !s.signalled["State"] {
		t.Errorf("signalled: %v", s.signalled)
	}
}

func TestMethodMissingOnEitherSideIsRefused(t *testing.T) {
	c, err := parseContract()
	if err != nil {
		t.Fatal(err)
	}
	ops := operations()
	if _, err := buildMethods(c, ops); err != nil {
		t.Fatal(err)
	}
	ops[managerInterface]["Invented"] = operation{}
	if _, err := buildMethods(c, ops); err == nil {
		t.Error("a method that is not in the XML was taken")
	}
	ops = operations()
	delete(ops[streamInterface], "GetLines")
	if _, err := buildMethods(c, ops); err == nil {
		t.Error("a method that is not implemented was taken")
	}
}

// Cockpit's and other proxies put methods and properties into one object.
func TestNoMethodAndPropertyShareAName(t *testing.T) {
	for _, iface := range described(t) {
		for _, p := range iface.Properties {
			for _, m := range iface.Methods {
				if m.Name == p.Name {
					t.Errorf("%s has a method and a property %s", iface.Name, m.Name)
				}
			}
		}
	}
}
