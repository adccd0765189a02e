package dbusapi

import (
	"time"

	"github.com/godbus/dbus/v5"
)

// Variants are made with the signature given, for godbus would find it out
// anew each time by reflection, and GetHealth has some thirty.
var (
	sigString  = dbus.ParseSignatureMust("s")
	sigStrings = dbus.ParseSignatureMust("as")
	sigInt64   = dbus.ParseSignatureMust("x")
	sigInts    = dbus.ParseSignatureMust("ai")
	sigUint32  = dbus.ParseSignatureMust("u")
	sigUint64  = dbus.ParseSignatureMust("t")
	sigDouble  = dbus.ParseSignatureMust("d")
	sigBool    = dbus.ParseSignatureMust("b")
)

func variantString(s string) dbus.Variant {
	return dbus.MakeVariantWithSignature(clean(s), sigString)
}

func variantStrings(s []string) dbus.Variant {
	return dbus.MakeVariantWithSignature(cleanAll(s), sigStrings)
}

func variantInt64(n int64) dbus.Variant    { return dbus.MakeVariantWithSignature(n, sigInt64) }
func variantUint64(n uint64) dbus.Variant  { return dbus.MakeVariantWithSignature(n, sigUint64) }
func variantDouble(f float64) dbus.Variant { return dbus.MakeVariantWithSignature(f, sigDouble) }
func variantBool(b bool) dbus.Variant      { return dbus.MakeVariantWithSignature(b, sigBool) }

// variantUint32 is for what counts from 0; a negative number is none.
func variantUint32(n int) dbus.Variant {
	return dbus.MakeVariantWithSignature(uint32(max(n, 0)), sigUint32)
}

func variantInts(in []int) dbus.Variant {
	out := make([]int32, len(in))
	for i, n := range in {
		out[i] = int32(n)
	}
	return dbus.MakeVariantWithSignature(out, sigInts)
}

// variantUsec is a moment in microseconds of CLOCK_REALTIME, 0 for none.
func variantUsec(t time.Time) dbus.Variant { return variantUint64(usec(t)) }

func usec(t time.Time) uint64 {
	if t.IsZero() || t.Before(time.UnixMicro(0)) {
		return 0
	}
	return uint64(t.UnixMicro())
}
