package dbusapi

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
)

// BenchmarkGetHealth is a client's GetHealth at 300 streams over a real bus;
// what is measured contains the bus and the client.
func BenchmarkGetHealth(b *testing.B) {
	k := fakekeeper.New()
	for i := range 300 {
		k.Put(fakekeeper.Full(fmt.Sprint("cam", i), i+1))
	}
	r := start(b, k)
	m := manager(r.connect(b))
	names := k.Names()
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		begun := time.Now()
		if err := m.Call(managerInterface+".GetHealth", 0, names[i%len(names)]).Err; err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkPing(b *testing.B) {
	r := start(b, fakekeeper.New())
	m := manager(r.connect(b))
	for b.Loop() {
		if err := m.Call(peerInterface+".Ping", 0).Err; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetHealthReport(b *testing.B) {
	k := fakekeeper.New()
	for i := range 300 {
		k.Put(fakekeeper.Full(fmt.Sprint("cam", i), i+1))
	}
	r := start(b, k)
	m := manager(r.connect(b))
	for b.Loop() {
		if err := m.Call(managerInterface+".GetHealthReport", 0).Err; err != nil {
			b.Fatal(err)
		}
	}
}
