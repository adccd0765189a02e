package dbusapi

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service"
)

// optionSet is which options a method knows.
type optionSet struct {
	waits   []service.Wait // allowed values of wait
	timeout bool           // timeout_usec
}

var (
	startOptions   = &optionSet{waits: []service.Wait{service.WaitNone, service.WaitDone, service.WaitOK}}
	stopOptions    = &optionSet{waits: []service.Wait{service.WaitNone, service.WaitDone}, timeout: true}
	restartOptions = &optionSet{waits: []service.Wait{service.WaitNone, service.WaitDone, service.WaitOK}, timeout: true}
)

// parse reads an a{sv} of options. Of several faults the first by name is
// reported, so that the same call gets the same answer.
func (o *optionSet) parse(given map[string]dbus.Variant) (service.CallOptions, error) {
	var out service.CallOptions
	for _, key := range slices.Sorted(maps.Keys(given)) {
		var err error
		switch {
		case key == "wait":
			out.Wait, err = o.wait(given[key])
		case key == "timeout_usec" && o.timeout:
			out.Timeout, err = timeout(given[key])
		default:
			err = errorf(errInvalidArgs, "unknown option %q; known: %s", clean(key), o.known())
		}
		if err != nil {
			return service.CallOptions{}, err
		}
	}
	return out, nil
}

func (o *optionSet) known() string {
	if o.timeout {
		return "wait, timeout_usec"
	}
	return "wait"
}

func (o *optionSet) wait(v dbus.Variant) (service.Wait, error) {
	var names []string
	for _, w := range o.waits {
		if v.Value() == string(w) {
			return w, nil
		}
		names = append(names, string(w))
	}
	return "", errorf(errInvalidArgs, "option wait: %s is none of %s", shown(v), strings.Join(names, ", "))
}

// timeout accepts every integer type: python-dbus, for one, makes an i of a
// plain number. 0 is the stream's own time-out, as if the option were absent.
func timeout(v dbus.Variant) (time.Duration, error) {
	const most = math.MaxInt64 / int64(time.Microsecond)
	n := int64(-1)
	switch x := v.Value().(type) {
	case uint64:
		if x <= uint64(most) {
			n = int64(x)
		}
	case int64:
		n = x
	case uint32:
		n = int64(x)
	case int32:
		n = int64(x)
	case uint16:
		n = int64(x)
	case int16:
		n = int64(x)
	case byte:
		n = int64(x)
	}
	if n < 0 || n > most {
		return 0, errorf(errInvalidArgs, "option timeout_usec: %s is no number of microseconds", shown(v))
	}
	return time.Duration(n) * time.Microsecond, nil
}

// shown is a value as an error names it; what a client sent may be long, and
// godbus cannot print all that it can decode.
func shown(v dbus.Variant) string {
	switch x := v.Value().(type) {
	case string:
		if len(x) <= 64 {
			return fmt.Sprintf("%q", x)
		}
	case bool, byte, int16, uint16, int32, uint32, int64, uint64, float64:
		return fmt.Sprint(x)
	}
	return "a value of type " + v.Signature().String()
}
