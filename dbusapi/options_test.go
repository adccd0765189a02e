package dbusapi

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service"
)

func TestOptionsAreRead(t *testing.T) {
	v := dbus.MakeVariant
	for _, c := range []struct {
		set   *optionSet
		given map[string]dbus.Variant
		want  service.CallOptions
	}{
		{startOptions, nil, service.CallOptions{}},
		{startOptions, map[string]dbus.Variant{"wait": v("ok")}, service.CallOptions{Wait: service.WaitOK}},
		{stopOptions, map[string]dbus.Variant{"wait": v("none"), "timeout_usec": v(uint64(1500000))}, service.CallOptions{Wait: service.WaitNone, Timeout: 1500 * time.Millisecond}},
		{restartOptions, map[string]dbus.Variant{"timeout_usec": v(int32(7))}, service.CallOptions{Timeout: 7 * time.Microsecond}},
		{restartOptions, map[string]dbus.Variant{"timeout_usec": v(uint64(math.MaxInt64 / 1000))}, service.CallOptions{Timeout: math.MaxInt64 / 1000 * time.Microsecond}},
		{restartOptions, map[string]dbus.Variant{"timeout_usec": v(byte(0))}, service.CallOptions{}},
	} {
		got, err := c.set.parse(c.given)
		if err != nil || got != c.want {
			t.Errorf("%v: %+v, %v", c.given, got, err)
		}
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	v := dbus.MakeVariant
	for _, c := range []struct {
		set   *optionSet
		given map[string]dbus.Variant
		want  string
	}{
		{startOptions, map[string]dbus.Variant{"wat": v("ok")}, `unknown option "wat"; known: wait`},
		{startOptions, map[string]dbus.Variant{"timeout_usec": v(uint64(1))}, `unknown option "timeout_usec"; known: wait`},
		{stopOptions, map[string]dbus.Variant{"z": v(1), "a": v(1)}, `unknown option "a"; known: wait, timeout_usec`},
		{stopOptions, map[string]dbus.Variant{"wait": v("ok")}, `option wait: "ok" is none of none, done`},
		{startOptions, map[string]dbus.Variant{"wait": v(true)}, `option wait: true is none of none, done, ok`},
		{startOptions, map[string]dbus.Variant{"wait": v([]string{"ok"})}, `option wait: a value of type as is none of`},
		{startOptions, map[string]dbus.Variant{"wait": v(strings.Repeat("x", 1000))}, `option wait: a value of type s is none of`},
		{stopOptions, map[string]dbus.Variant{"timeout_usec": v("5s")}, `option timeout_usec: "5s" is no number of microseconds`},
		{stopOptions, map[string]dbus.Variant{"timeout_usec": v(int64(-1))}, `option timeout_usec: -1 is no`},
		{stopOptions, map[string]dbus.Variant{"timeout_usec": v(uint64(math.MaxUint64))}, `option timeout_usec: 18446744073709551615 is no`},
		{stopOptions, map[string]dbus.Variant{"timeout_usec": v(1.5)}, `option timeout_usec: 1.5 is no`},
	} {
		_, err := c.set.parse(c.given)
		var e *busError
		if !errors.As(err, &e) || e.name != errInvalidArgs || !strings.HasPrefix(e.text, c.want) {
			t.Errorf("%v: %v", c.given, err)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("wait", "ok", int64(0), byte(0))
	f.Add("timeout_usec", "", int64(-5), byte(1))
	f.Add("timeout_usec", "", int64(math.MaxInt64), byte(2))
	f.Add("x\x00\xff", "y", int64(1), byte(3))
	f.Fuzz(func(t *testing.T, key, text string, number int64, kind byte) {
		values := []any{text, number, uint64(number), int32(number), uint32(number), int16(number), uint16(number), kind,
			float64(number), number > 0, []string{text}, dbus.MakeVariant(text), map[string]dbus.Variant{key: dbus.MakeVariant(number)},
			dbus.ObjectPath(text), struct{ A, B string }{text, key}, []byte(text), dbus.ParseSignatureMust("s"), dbus.UnixFDIndex(number)}
		v := dbus.MakeVariant(values[int(kind)%len(values)])
		for _, set := range []*optionSet{startOptions, stopOptions, restartOptions} {
			got, err := set.parse(map[string]dbus.Variant{key: v})
			if err == nil {
				if key != "wait" && key != "timeout_usec" || got.Timeout < 0 {
					t.Fatalf("%q=%v gives %+v", key, v, got)
				}
				continue
			}
			if errorName(err) != errInvalidArgs {
				t.Fatal(err)
			}
			if text := errorText(err); text != clean(text) {
				t.Fatalf("%q cannot be sent", text)
			}
		}
	})
}
