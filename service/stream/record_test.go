package stream

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// settable is field i of the struct v, unexported or not.
func settable(v reflect.Value, i int) reflect.Value {
	f := v.Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

// fill gives every field below v a random value that is not its zero value.
func fill(t testing.TB, v reflect.Value, r *rand.Rand) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(epoch.Add(time.Duration(1 + r.Int64N(int64(1000*time.Hour))))))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 + r.Int64N(3)) // a phase and a then, too
	case reflect.Uint64:
		v.SetUint(1 + r.Uint64N(1<<60))
	case reflect.Float64:
		v.SetFloat(1 + r.Float64())
	case reflect.String:
		v.SetString(string([]byte{'a' + byte(r.IntN(26)), 'a' + byte(r.IntN(26))}))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, settable(v, i), r)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(t, v.Index(i), r)
		}
	default:
		t.Fatalf("a test for a %s is missing", v.Type())
	}
}

// unequal names the first field in which a and b, structs of one type, differ.
func unequal(a, b reflect.Value) string {
	for i := range a.NumField() {
		x, y := settable(a, i), settable(b, i)
		if at, ok := x.Interface().(time.Time); ok {
			if !at.Equal(y.Interface().(time.Time)) {
				return a.Type().Field(i).Name
			}
		} else if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return a.Type().Field(i).Name
		}
	}
	return ""
}

// TestEveryFieldOfLastingIsWrittenDown: one that is added and forgotten in
// encode or decode fails here.
func TestEveryFieldOfLastingIsWrittenDown(t *testing.T) {
	c := clock{epoch.Add(time.Minute), 5 * time.Hour}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		m := newMachine("x", testDef(), "", epoch, nil)
		fill(t, reflect.ValueOf(&m.lasting).Elem(), r)
		// A whole that does not contradict itself.
		m.state, m.phase, m.group = StateStopping, phaseTerm, true
		m.exitCodes = []int{0, -9, 255}
		data, err := m.encode(c)
		if err != nil {
			t.Fatal(err)
		}
		// The next keeper's clock counts from another moment.
		later := clock{c.now.Add(time.Hour), c.boot + time.Hour}
		n := newMachine("x", testDef(), "", epoch, nil)
		if _, err := n.decode(later, data); err != nil {
			t.Fatal(err)
		}
		if field := unequal(reflect.ValueOf(&m.lasting).Elem(), reflect.ValueOf(&n.lasting).Elem()); field != "" {
			t.Fatalf("seed %d: %s is lost", seed, field)
		}
		if !reflect.DeepEqual(n.exitCodes, m.exitCodes) {
			t.Fatalf("exit codes %d", n.exitCodes)
		}
		again, err := n.encode(later)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("written again it is\n%s, not\n%s", again, data)
		}
	}
}

// TestEveryFieldOfTheMachineIsAccountedFor: whoever adds one decides what the
// next keeper has of it.
func TestEveryFieldOfTheMachineIsAccountedFor(t *testing.T) {
	fields := map[string]string{
		"lasting":      "record",
		"exitCodes":    "record",
		"def":          "the note of what runs, and the files",
		"next":         "the files",
		"bad":          "the files",
		"gone":         "the files",
		"live":         "seen",
		"moved":        "seen",
		"lastActivity": "seen",
		"name":         "of the configuration",
		"builder":      "of the configuration",
		"random":       "of the program",
		"out":          "of one step",
		"hindered":     "of the next sample",
		"slowBy":       "of the next sample",
		"shimEnds":     "of the shim, which is gone before long: then nothing is left to take over",
	}
	typ := reflect.TypeFor[machine]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		if fields[name] == "" {
			t.Errorf("what becomes of %s?", name)
		}
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("there is no %s", name)
	}
}

func TestWhatWasSeenComesBackWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	// As many fields here as there.
	if a, b := reflect.TypeFor[liveRecord]().NumField(), reflect.TypeFor[ffmpeg.LivenessState]().NumField(); a != b {
		t.Errorf("%d fields of liveness are written, of %d", a, b)
	}
	cfg := Config{Name: "cam1", Definition: testDef(), Redact: redact.New(), Lasting: true}
	state := new(ffmpeg.LivenessState)
	fill(t, reflect.ValueOf(state).Elem(), r)
	block := new(ffmpeg.Block)
	fill(t, reflect.ValueOf(block).Elem(), r)
	c := clock{epoch.Add(2000 * time.Hour), 3000 * time.Hour}

	o := New(cfg).in.owner
	o.m.live, o.m.moved, o.m.lastActivity, o.m.pid = ffmpeg.ResumeLiveness(*state), epoch.Add(time.Hour), epoch.Add(2*time.Hour), 7
	o.log.total = 12
	o.proc = &process{pid: 7, ended: true, tagged: true, received: 99, block: *block, hasBlock: true}
	for i := range keptLines + 3 {
		o.lines.add(Line{Time: epoch.Add(time.Duration(i)), Priority: i % 8, Text: strings.Repeat("x", i)}, i%10 == 0)
	}
	data, err := o.encodeSeen(c, &partRecord{Data: []byte("half \xff a")}, &partRecord{Long: true})
	if err != nil {
		t.Fatal(err)
	}

	n := New(cfg).in.owner
	n.proc = &process{pid: 7}
	s, err := unmarshalSeen(data)
	if err != nil {
		t.Fatal(err)
	}
	n.takeSeen(c, s)
	if !reflect.DeepEqual(n.m.live.State(), o.m.live.State()) || !n.m.moved.Equal(o.m.moved) || !n.m.lastActivity.Equal(o.m.lastActivity) {
		t.Errorf("%+v, want %+v", n.m.live.State(), o.m.live.State())
	}
	p := n.proc
	if !p.ended || !p.tagged || p.received != 99 || p.block != *block || !p.hasBlock || n.log.total != 12 {
		t.Errorf("%+v", p)
	}
	for i, l := range n.lines.last(keptLines) {
		if w := o.lines.last(keptLines)[i]; !l.Time.Equal(w.Time) || l.Text != w.Text || l.Priority != w.Priority {
			t.Errorf("line %d: %+v, want %+v", i, l, w)
		}
	}
	if !reflect.DeepEqual(n.lines.errors, o.lines.errors) {
		t.Errorf("errors %q", n.lines.errors)
	}
	if data, long := p.errLines.Leave(); string(data) != "half \xff a" || long {
		t.Errorf("the half line is %q, %v", data, long)
	}
	if data, long := p.outLines.Leave(); len(data) > 0 || !long {
		t.Errorf("the half line that is too long is %q, %v", data, long)
	}

	// Of another process only the lines are taken.
	n = New(cfg).in.owner
	n.proc = &process{pid: 8}
	n.takeSeen(c, s)
	if !n.m.moved.IsZero() || n.proc.hasBlock || n.proc.received != 0 || len(n.lines.last(keptLines)) != keptLines {
		t.Errorf("%+v", n.proc)
	}
}

// TestAnOlderRecordIsRead: what its writer did not know of is as it was then.
func TestAnOlderRecordIsRead(t *testing.T) {
	m := newMachine("x", testDef(), "", epoch, nil)
	digest, err := m.decode(clock{epoch, time.Hour}, []byte(`{"v":1,"digest":"d","state":"running","health":"ok","wanted":true,"pid":7,"child":3,"group":true,"main":true,"unknown_to_us":[1]}`))
	if err != nil || digest != "d" || m.state != StateRunning || m.child != 3 || m.interrupted || !m.delay.IsZero() {
		t.Errorf("%v, %q, %+v", err, digest, m.lasting)
	}
}

func TestWhatCannotBeReadLeavesTheMachineAlone(t *testing.T) {
	for _, data := range []string{
		``, `{`, `[]`, `{"v":0,"state":"stopped"}`, `{"v":2,"state":"stopped"}`, `{"v":1}`, `{"v":1,"state":"flying"}`,
		`{"v":1,"state":"stopping","phase":"flying","group":true}`, `{"v":1,"state":"stopped","then":"flying"}`,
		`{"v":1,"state":"running"}`, `{"v":1,"state":"running","group":true,"phase":"kill"}`, `{"v":1,"state":"starting"}`,
		`{"v":1,"state":"starting","phase":"deps","group":true}`, `{"v":1,"state":"zombie"}`, `{"v":1,"state":"stopped","main":true}`,
	} {
		m := newMachine("x", testDef(), "", epoch, nil)
		before := m.lasting
		if _, err := m.decode(clock{epoch, time.Hour}, []byte(data)); err == nil || m.lasting != before {
			t.Errorf("%s: %v, %+v", data, err, m.lasting)
		}
	}
}

// FuzzDecode: whatever a note says, a stop ends the stream.
func FuzzDecode(f *testing.F) {
	for _, b := range []*bench{
		newBench(f, testDef()), newBench(f, testDef()).step(evStart{}), newBench(f, testDef()).step(evStart{}).spawned(),
		newBench(f, simpleDef()).step(evStart{}).spawned(), newBench(f, testDef()).step(evStart{}).spawned().step(evStop{}),
		newBench(f, simpleDef()).step(evStart{}).spawned().step(evExited{exit{code: 1, hint: "x"}}),
	} {
		data, err := b.m.encode(clock{epoch, time.Hour})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, held bool) {
		b := newBench(t, testDef())
		if _, err := b.m.decode(clock{b.now, time.Hour}, data); err != nil {
			return
		}
		ev := evAdopted{}
		if held {
			ev = evAdopted{held: true, pid: 7, child: b.m.child, started: epoch, canAsk: b.m.canAsk}
		}
		b.step(ev)
		if b.step(evStop{}); b.m.phase == phaseSpawn {
			b.step(evSpawnFailed{reason: ReasonSpawnFailed})
		}
		if b.m.group {
			b.exited(exit{signal: 9})
		}
		if b.m.group || b.m.wanted || b.m.state != StateStopped && b.m.state != StateFailed {
			t.Errorf("%+v", b.m.lasting)
		}
		if !b.m.deadline().IsZero() {
			t.Errorf("a tick at %s of a stream in %s", b.m.deadline(), b.m.state)
		}
	})
}

// FuzzSeen: whatever a note says of what was seen, it is taken and written
// again within its bounds.
func FuzzSeen(f *testing.F) {
	f.Add([]byte(`{"v":1,"moved":1,"last_activity":2,"live":{"frame":3,"moved_at":4},"block":{"Frame":1},"pid":7,"lines":[{"at":1,"priority":3,"text":"x"}],"errors":["x"],"stderr":{"data":"YQ==","long":true}}`))
	f.Add([]byte(`{"v":1,"errors":["1","2","3","4","5","6","7"],"pid":7,"live":{"gap_ns":-1,"last_at":-9223372036854775808}}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := unmarshalSeen(data)
		if err != nil {
			return
		}
		o := New(Config{Name: "cam1", Definition: testDef(), Redact: redact.New()}).in.owner
		o.proc, o.m.pid = &process{pid: 7}, 7
		c := clock{epoch, time.Hour}
		o.takeSeen(c, s)
		o.m.step(epoch, evBlock{block: ffmpeg.Block{HasFrame: true, Frame: 1}})
		if len(o.lines.errors) > keptErrors || len(o.lines.last(keptLines)) > keptLines {
			t.Errorf("%d errors, %d lines", len(o.lines.errors), len(o.lines.last(keptLines)))
		}
		again, err := o.encodeSeen(c, nil, nil)
		if err != nil || !json.Valid(again) {
			t.Errorf("%v: %s", err, again)
		}
	})
}

// FuzzInheritances: every note and child comes to one stream, and none gets
// lost; a definition in one is read or not, but never half.
func FuzzInheritances(f *testing.F) {
	f.Add("cam1", []byte(`{"v":1}`))
	f.Add("cam1!run", []byte(`{"definition":{"Name":"cam1"},"launch":{}}`))
	f.Add("cam1!seen", []byte(`{}`))
	f.Add("!", []byte(`x`))
	f.Add("a!b!run", []byte(`{"definition":null,"launch":null}`))
	f.Fuzz(func(t *testing.T, key string, blob []byte) {
		all := Inheritances(map[string][]byte{key: blob}, nil)
		in := all[OwnerOf(key)]
		if len(all) != 1 || in == nil {
			t.Fatalf("%q is of %d streams", key, len(all))
		}
		found := 0
		for _, note := range [][]byte{in.State, in.Run, in.Seen} {
			if note != nil && bytes.Equal(note, blob) {
				found++
			}
		}
		if blob != nil && found != 1 {
			t.Errorf("%q is there %d times", key, found)
		}
		if def := in.Definition(&streamfile.Loader{}); def != nil && def.Name == "" {
			t.Error("a definition without a name")
		}
	})
}
