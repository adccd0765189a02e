package stream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// world is what a machine acts upon: at most one process, by the rules of the
// shim.
type world struct {
	spawning, main, group bool
	terms, kills          int
	stuck                 bool // KILL is not obeyed for now
	removed               bool

	child uint64 // its number
	known bool   // the shim keeps it until it is forgotten
	exit  exit   // of the main process
	note  []byte // what a keeper that was killed wrote down last
	dying bool   // it will be killed in the middle of its next step
}

// TestRandomLives drives machines through random events by the thousand and
// holds what must always hold, whenever their keepers are killed: never two
// processes, one TERM a process, no stop lost, no exit twice, no tick for ever.
func TestRandomLives(t *testing.T) {
	for seed := range uint64(3000) {
		if !life(t, seed) {
			t.Fatalf("seed %d", seed)
		}
	}
}

func life(t *testing.T, seed uint64) bool {
	r := rand.New(rand.NewPCG(seed, 1))
	def := testDef(func(d *streamfile.Definition) {
		d.Restart = []streamfile.RestartPolicy{streamfile.RestartAlways, streamfile.RestartOnFailure, streamfile.RestartNo}[r.IntN(3)]
		if r.IntN(3) == 0 {
			d.RestartMaxAttempts = r.IntN(4)
		}
		if r.IntN(3) == 0 {
			d.Type, d.OnStall = streamfile.TypeSimple, streamfile.OnStallLog
		}
		if r.IntN(4) == 0 {
			d.RuntimeMax = 50 * time.Second
		}
		if r.IntN(4) == 0 {
			d.After = []string{"other"}
		}
	})
	m := newMachine("x", def, "", epoch, r.Float64)
	now, w := epoch, &world{}
	ok := true
	at := func() clock { return clock{now, now.Sub(epoch) + time.Hour} }
	var codes []int // of all exits there were
	var step func(ev event)
	// reborn is the next keeper's machine, made from the note.
	reborn := func() {
		m = newMachine("x", def, "", now, r.Float64)
		if _, err := m.decode(at(), w.note); err != nil {
			t.Error(err)
			ok = false
		}
		if w.spawning {
			w.spawning = false
			if r.IntN(5) > 0 {
				w.child++
				w.main, w.group, w.known = true, true, true
			}
		}
		if w.known && !w.group && m.child == w.child && !m.group {
			w.known = false // as the owner does it
		}
		if !w.known {
			step(evAdopted{})
			return
		}
		step(evAdopted{
			held: true, pid: 7, child: w.child, started: now, termed: w.terms > 0, killing: w.kills > 0,
			canAsk: r.IntN(2) == 0, waits: r.IntN(8) == 0,
		})
		if !w.main {
			step(evExited{w.exit})
		}
		if !w.group {
			step(evEmpty{})
		}
	}
	step = func(ev event) {
		before := *m
		actions := m.step(now, ev)
		if w.dying {
			w.dying = false
			noted := m
			if r.IntN(4) == 0 {
				actions, noted = nil, &before // not even the note was sent
			} else {
				actions = actions[:r.IntN(len(actions)+1)]
			}
			w.note, _ = noted.encode(at())
			defer reborn()
		}
		for _, a := range actions {
			switch a := a.(type) {
			case actSpawn:
				if w.spawning || w.group || w.main {
					t.Errorf("at %s: a second process is asked for", now.Sub(epoch))
					ok = false
				}
				if w.known {
					t.Errorf("at %s: a process is asked for before the last one is forgotten", now.Sub(epoch))
					ok = false
				}
				w.spawning, w.terms, w.kills = true, 0, 0
			case actTerm:
				if w.terms++; w.terms > 1 {
					t.Errorf("at %s: a second TERM", now.Sub(epoch))
					ok = false
				}
			case actKill:
				w.kills++
			case actForget:
				w.known = false
				if w.group {
					t.Errorf("at %s: forgotten while something of it lives", now.Sub(epoch))
					ok = false
				}
			case actRemoved:
				w.removed = true
			case actLog:
				_ = a
			}
		}
	}
	advance := func(d time.Duration) {
		end := now.Add(d)
		for n := 0; ok; n++ {
			due := m.deadline()
			if due.IsZero() || due.After(end) {
				break
			}
			if n > 200 {
				t.Errorf("at %s: ticks for ever in %s", now.Sub(epoch), m.state)
				ok = false
			}
			if due.After(now) {
				now = due
			}
			step(evTick{})
		}
		now = end
	}
	ended := func(x exit) {
		w.main, w.exit = false, x
		if codes = append(codes, x.number()); len(codes) > keptExitCodes {
			codes = codes[1:]
		}
		step(evExited{x})
	}
	spawned := func(ev evSpawned) {
		w.child++
		w.spawning, w.main, w.group, w.known = false, true, true, true
		ev.child = w.child
		step(ev)
	}
	// settle lets the world end what was killed.
	settle := func() {
		if w.kills > 0 && !w.stuck && w.group {
			if w.main {
				ended(exit{signal: 9})
			}
			if w.group {
				w.group = false
				step(evEmpty{})
			}
		}
	}
	for range 60 {
		if !ok {
			return false
		}
		w.dying = r.IntN(6) == 0
		switch r.IntN(22) {
		case 0, 1:
			step(evStart{})
		case 2:
			step(evStop{timeout: time.Duration(r.IntN(2)) * time.Second})
		case 3:
			step(evRestart{})
		case 4, 5, 6:
			if w.spawning {
				w.spawning = false
				if r.IntN(5) == 0 {
					step(evSpawnFailed{reason: []Reason{ReasonSpawnFailed, ReasonNoProgram, ReasonShimLost}[r.IntN(3)]})
				} else {
					spawned(evSpawned{pid: 1 + r.IntN(1000), canAsk: r.IntN(2) == 0, waits: r.IntN(8) == 0})
				}
			}
		case 7, 8:
			if w.main {
				ended(exit{code: []int{0, 1, 255}[r.IntN(3)], exists: r.IntN(10) == 0})
			}
		case 9, 10:
			if w.group && !w.main {
				w.group = false
				step(evEmpty{})
			}
		case 11, 12, 13:
			if w.main {
				step(evBlock{block: ffmpeg.Block{HasFrame: true, Frame: r.Uint64N(3), HasOutTime: true, OutTime: time.Duration(r.IntN(3))}, slow: r.IntN(4) == 0})
			}
		case 14:
			step(evDeps{failed: []string{"", "other"}[r.IntN(2)]})
		case 15:
			w.spawning, w.main, w.group, w.known, w.child = false, false, false, false, 0
			w.dying = false // a keeper that dies then finds no notes either
			step(evShimLost{})
			if r.IntN(2) == 0 {
				step(evShimBack{})
			}
		case 16:
			step(evGrace{})
		case 17:
			step(evSample{noReader: r.IntN(2) == 0})
		case 18:
			w.stuck = !w.stuck
		case 19:
			step(evReload{def: def})
		case 20:
			step(evResetFailed{})
		case 21:
			step(evGrew{})
		}
		advance(time.Duration(r.IntN(40)) * time.Second)
		settle()
		if ok && !slices.Equal(m.exitCodes, codes) {
			t.Errorf("at %s: exit codes %d of %d", now.Sub(epoch), m.exitCodes, codes)
			ok = false
		}
	}
	// However it came here: a stop ends it.
	w.dying = false
	step(evStop{})
	w.stuck = false
	for range 100 {
		if w.spawning {
			spawned(evSpawned{pid: 1})
		}
		advance(40 * time.Second)
		settle()
	}
	if ok && (m.state != StateStopped && m.state != StateFailed || w.group || w.spawning || m.wanted) {
		t.Errorf("after a stop: %s/%s wanted %v, process %v", m.state, m.health, m.wanted, w.group)
		ok = false
	}
	return ok
}
