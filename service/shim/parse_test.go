package shim

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestTextKeepsAnyBytes(t *testing.T) {
	for _, want := range []text{"", "plain", "caf\xe9", "\xff\xfe\x00", "\u2028<&>\"\\", "[", "[\"YQ==\"]", "\ufffd"} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got text
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Errorf("%q: by way of %s to %q, %v", want, data, got, err)
		}
	}
}

func TestSpawnRequestTravelsWhole(t *testing.T) {
	want := SpawnRequest{
		Stream: "a\xff", Path: "/b", Argv: []string{"c", "d\x80"}, Env: []string{"E=f"}, Dir: "/g",
		Stdin: Socket, Stdout: Pipe, Stderr: Null, Progress: true, StdoutLog: true,
		Nice: ptr(-3), UMask: ptr[uint32](0o22), CPUAffinity: []int{0, 5}, Limits: map[string]Limit{"NOFILE": {1, ^uint64(0)}},
		OOMScoreAdj: ptr(9), Cgroup: &CgroupLimits{MemoryMax: ptr(^uint64(0)), CPUQuota: ptr(0.5)},
	}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("this test forgets %s", v.Type().Field(i).Name)
		}
	}
	data, err := json.Marshal(want.body())
	if err != nil {
		t.Fatal(err)
	}
	var body spawnBody
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	if got := *body.request(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseStat(t *testing.T) {
	const tail = " S 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10"
	for _, name := range []string{"sh", "a b", "a) S 1 (b", "))", "", "x\ny) Z"} {
		got, err := parseStat([]byte("99 (" + name + ")" + tail + "\n"))
		want := procStat{pid: 99, ppid: 7, group: 42, session: 43, state: 'S', start: 123456}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "1", "1 (x)", "1 (x) S", "x (y)" + tail, "1 )x(" + tail, "1 (x) S 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 -5 9"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
	st, err := readStat(os.Getpid())
	if err != nil || st.pid != os.Getpid() || st.ppid != os.Getppid() || st.session != ownSession() || st.dead() || st.envEnd == 0 {
		t.Errorf("of this process: %+v, %v", st, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("99 (a) b) S 7 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10\n"))
	f.Add([]byte("1 (x) S 7 42 43 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 1 9 10 " + strings.Repeat("8 ", 28) + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		st, err := parseStat(line)
		if err == nil && !bytes.Contains(line, []byte{st.state}) {
			t.Errorf("%q: state %c", line, st.state)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"type":"ping","seq":3}`, `{"v":1,"type":"memfd"}`, `null`, `{"v":1,"type":"spawn","fds":["extra"],"spawn":{"argv":["a",["/w=="]]}}`,
		`{"v":1,"type":"io","io":{"3":{"rchar":5}}}`, `{"v":1,"type":"child","child":{"drained":{"stderr":{"offset":-1,"len":9}}}}`,
		`{"v":1,"type":"child","child":{"id":1,"cgroup":"/c/s.stream","termed":true,"killing":true,"exited":{"id":1,"at":1,"oom":true,"task_limit":true}}}`,
		`{"v":1,"type":"spawn","spawn":{"stream":"a/b","argv":["a"],"cgroup":{"cpu_quota":0.001,"memory_max":18446744073709551615}}}`,
		`{"v":1,"type":"error","error":{"text":"x","errno":2,"spawn":true}}`, `{"v":1,"type":"exited","exited":{"id":1,"at":1}}`,
	} {
		f.Add([]byte(s), 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, nfds int) {
		m, err := decode(data, nfds)
		if err != nil {
			return
		}
		// What is done with a message first must bear anything.
		if m.Spawn != nil {
			r := m.Spawn.request()
			if r.check() == nil {
				lookPath(r)
				streamEnv(r)
				r.needsHelper()
				limitOrder(r.Limits)
				r.Cgroup.settings()
				if strings.Contains(r.Stream, "/") {
					t.Errorf("%q was taken for a name", r.Stream)
				}
			}
		}
		m.Exited.event()
		if m.Error != nil {
			_ = fromWire(m.Error).Error()
		}
		takeHeld(m, nil)
		// What we understood we can say again, and it means the same.
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		m2, err := decode(again, nfds)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		third, _ := json.Marshal(m2)
		if !bytes.Equal(again, third) {
			t.Errorf("%s became %s", again, third)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"v":2,"cgroup":"/c","children":[{"id":1,"pid":5,"pidfd":7,"cgroup":"s.stream","ends":{"stdin":3}},{"id":2,"cgroup":"../x"}],"listener":-1,"keeper":4}`))
	f.Add([]byte(`{"v":1,"children":[{"id":1,"pid":5,"pidfd":-1,"exited":{"id":1},"empty":true}],"owners":[{"pid":1,"owner":1}],"listener":-1,"keeper":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parseState(data)
		if err != nil {
			return
		}
		st.descriptors()
		if _, err := json.Marshal(st); err != nil {
			t.Error(err)
		}
	})
}

func FuzzHelperVerdict(f *testing.F) {
	f.Add([]byte(`{"go":true}{"error":{"text":"x"}}`))
	f.Fuzz(func(t *testing.T, words []byte) {
		if helperVerdict(words) == nil && !strings.Contains(strings.ToLower(string(words)), "go") {
			t.Errorf("%q passes for a start", words)
		}
	})
}

func FuzzRing(f *testing.F) {
	f.Add([]byte("one\ntwo\rthree"), uint16(3), uint16(8))
	f.Fuzz(func(t *testing.T, data []byte, cut, limit uint16) {
		step, most := int(cut%100)+1, int(limit%1000)+1
		var r ring
		for rest := data; len(rest) > 0; {
			n := min(step, len(rest))
			r.add(rest[:n], most)
			rest = rest[n:]
			if len(r.data) > most {
				t.Fatalf("%d bytes are kept, at most %d may be", len(r.data), most)
			}
		}
		if r.dropped+uint64(len(r.data)) != uint64(len(data)) || !bytes.HasSuffix(data, r.data) {
			t.Fatalf("of %q %q is kept and %d dropped", data, r.data, r.dropped)
		}
		// It begins with a line, unless that line alone is too long.
		if r.dropped > 0 && bytes.ContainsAny(r.data, "\r\n") && !strings.ContainsRune("\r\n", rune(data[r.dropped-1])) {
			t.Errorf("of %q %q is kept", data, r.data)
		}
	})
}

func TestRingKeepsWholeLines(t *testing.T) {
	var r ring
	r.add([]byte("first\nsecond\n"), 16)
	r.add([]byte("third\n"), 16)
	if string(r.data) != "second\nthird\n" || r.dropped != 6 {
		t.Errorf("%q, %d dropped", r.data, r.dropped)
	}
	r.add([]byte(strings.Repeat("x", 20)+"\nlast\n"), 16)
	if string(r.data) != "last\n" || r.dropped != 6+13+21 {
		t.Errorf("%q, %d dropped", r.data, r.dropped)
	}
}

func TestParseIO(t *testing.T) {
	got, ok := parseIO([]byte("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n"))
	if want := (IO{ReadChars: 1, WriteChars: 2, ReadBytes: 5, WriteBytes: 6}); !ok || got != want {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "rchar: 1\n", "rchar: x\nwchar: 2\nread_bytes: 5\nwrite_bytes: 6\n"} {
		if got, ok := parseIO([]byte(bad)); ok {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}
