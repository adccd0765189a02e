package shim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// The messages. Seq numbers a request and is repeated in its answer; FDs names
// the descriptors beside the packet, in order. Unknown fields are ignored, an
// unknown type is answered with an error, so that both sides may grow.
//
//	keeper to shim
//	  hello      Hello                 first; answered by hello, child*, note*, hello-end
//	                                   once no spawn of an earlier keeper is in flight
//	  ready                            hello was taken over: what was drained may go
//	  spawn      Seq Spawn  fds: extra answered by spawned or error
//	  signal     ID Signal Scope
//	  kill       ID
//	  note       Stream Blob
//	  forget     ID
//	  close      ID End                the shim closes its duplicate of that end
//	  io         Seq IDs               answered by io
//	  ping       Seq                   answered by pong
//	  reexec     Seq Path              answered by reexeced (by the new program) or error;
//	                                   an upgrade that a SIGHUP caused shows in nothing
//	  leave
//	shim to keeper
//	  hello      Hello
//	  child      Child  fds: pidfd stdin stdout stderr progress drained (those there are)
//	  note       Stream Blob
//	  hello-end
//	  spawned    Seq Child  fds: as child
//	  exited     Exited
//	  empty      ID Stream At
//	  io         Seq IO
//	  pong       Seq
//	  reexeced   Seq Hello
//	  warning    Error
//	  stopping   (all children are being stopped, and the shim ends)
//	  error      Seq Error             Seq 0: about the connection or a message without one
//	both
//	  memfd      the first descriptor beside it holds the message, which does
//	             not fit a packet; the others belong to that message
const (
	msgHello    = "hello"
	msgReady    = "ready"
	msgSpawn    = "spawn"
	msgSignal   = "signal"
	msgKill     = "kill"
	msgNote     = "note"
	msgForget   = "forget"
	msgClose    = "close"
	msgIO       = "io"
	msgPing     = "ping"
	msgReexec   = "reexec"
	msgLeave    = "leave"
	msgStop     = "stop"
	msgChild    = "child"
	msgHelloEnd = "hello-end"
	msgSpawned  = "spawned"
	msgExited   = "exited"
	msgEmpty    = "empty"
	msgPong     = "pong"
	msgReexeced = "reexeced"
	msgWarning  = "warning"
	msgStopping = "stopping"
	msgError    = "error"
	msgMemfd    = "memfd"
)

const (
	maxPacket  = 64 << 10 // bytes; a message longer than this goes by memfd
	maxMessage = 16 << 20 // bytes; the kernel takes at most 6 MiB of arguments and environment
	maxNote    = 4 << 20  // bytes of one note: a command line and its environment, and what is around them
	maxFDs     = 200      // beside one packet; the kernel takes 253
)

type message struct {
	V      int          `json:"v"`
	Type   string       `json:"type"`
	Seq    uint64       `json:"seq,omitempty"`
	FDs    []string     `json:"fds,omitempty"`
	ID     ID           `json:"id,omitempty"`
	IDs    []ID         `json:"ids,omitempty"`
	Stream text         `json:"stream,omitempty"`
	Blob   []byte       `json:"blob,omitempty"`
	Path   text         `json:"path,omitempty"`
	At     int64        `json:"at,omitempty"` // Unix time in ns
	Signal int          `json:"signal,omitempty"`
	Scope  Scope        `json:"scope,omitempty"`
	End    End          `json:"end,omitempty"`
	Hello  *helloBody   `json:"hello,omitempty"`
	Spawn  *spawnBody   `json:"spawn,omitempty"`
	Child  *childBody   `json:"child,omitempty"`
	Exited *exitedBody  `json:"exited,omitempty"`
	IO     map[ID]IO    `json:"io,omitempty"`
	Error  *remoteError `json:"error,omitempty"`
}

// helloBody opens a connection: the keeper says which versions it speaks, the
// shim which one it has chosen.
type helloBody struct {
	Min     int    `json:"min,omitempty"`
	Max     int    `json:"max,omitempty"`
	Chosen  int    `json:"chosen,omitempty"`
	Version string `json:"version,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

type spawnBody struct {
	Stream      text             `json:"stream,omitempty"`
	Path        text             `json:"path,omitempty"`
	Argv        []text           `json:"argv"`
	Env         []text           `json:"env,omitempty"`
	Dir         text             `json:"dir,omitempty"`
	Stdin       StdioKind        `json:"stdin,omitempty"`
	Stdout      StdioKind        `json:"stdout,omitempty"`
	Stderr      StdioKind        `json:"stderr,omitempty"`
	Progress    bool             `json:"progress,omitempty"`
	StdoutLog   bool             `json:"stdout_log,omitempty"`
	Nice        *int             `json:"nice,omitempty"`
	UMask       *uint32          `json:"umask,omitempty"`
	CPUAffinity []int            `json:"cpu_affinity,omitempty"`
	Limits      map[string]Limit `json:"limits,omitempty"`
	OOMScoreAdj *int             `json:"oom_score_adj,omitempty"`
	Cgroup      *CgroupLimits    `json:"cgroup,omitempty"`
}

type childBody struct {
	ID      ID                     `json:"id"`
	Stream  text                   `json:"stream,omitempty"`
	PID     int                    `json:"pid"`
	Started int64                  `json:"started"`          // Unix time in ns
	Ticks   uint64                 `json:"ticks"`            // the same in clock ticks since boot, at the latest
	Cgroup  text                   `json:"cgroup,omitempty"` // absolute directory
	Exited  *exitedBody            `json:"exited,omitempty"`
	Empty   bool                   `json:"empty,omitempty"`
	Termed  bool                   `json:"termed,omitempty"`
	Killing bool                   `json:"killing,omitempty"`
	Drained map[End]drainedSection `json:"drained,omitempty"`
}

// drainedSection is one pipe's part of the memfd named drained.
type drainedSection struct {
	Offset  int    `json:"offset"`
	Len     int    `json:"len"`
	Dropped uint64 `json:"dropped,omitempty"`
}

type exitedBody struct {
	ID      ID     `json:"id"`
	Stream  text   `json:"stream,omitempty"`
	PID     int    `json:"pid"`
	Code    int    `json:"code,omitempty"`
	Signal  int    `json:"signal,omitempty"`
	Core    bool   `json:"core,omitempty"`
	OOM     bool   `json:"oom,omitempty"`
	Tasks   bool   `json:"task_limit,omitempty"`
	User    int64  `json:"user_ns,omitempty"`
	System  int64  `json:"system_ns,omitempty"`
	MaxRSS  uint64 `json:"max_rss,omitempty"`
	At      int64  `json:"at"`
	Unknown bool   `json:"unknown,omitempty"`
}

// decode reads one message that came with nfds descriptors. Whatever the bytes
// are, it returns a message of a version we speak or an error.
func decode(data []byte, nfds int) (*message, error) {
	m := new(message)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("malformed message: %w", err)
	}
	if m.V != Version {
		return m, fmt.Errorf("message of version %d; this side speaks version %d", m.V, Version)
	}
	if m.Type == "" {
		return m, fmt.Errorf("message without a type")
	}
	if len(m.FDs) != nfds && m.Type != msgMemfd {
		return m, fmt.Errorf("%s: %d file descriptors announced, %d received", m.Type, len(m.FDs), nfds)
	}
	return m, nil
}

// text is a string of any bytes. JSON strings are UTF-8 only, yet arguments
// and file names need not be: those that are not travel as ["base64"].
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([]string{base64.StdEncoding.EncodeToString([]byte(t))})
}

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if len(data) > 0 && data[0] == '[' {
		var list []string
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("a string of bytes is one base64 string, not %d", len(list))
		}
		raw, err := base64.StdEncoding.DecodeString(list[0])
		if err != nil {
			return err
		}
		*t = text(raw)
		return nil
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*t = text(s)
	return nil
}

func texts(in []string) []text {
	out := make([]text, len(in))
	for i, s := range in {
		out[i] = text(s)
	}
	return out
}

func stringsOf(in []text) []string {
	out := make([]string, len(in))
	for i, t := range in {
		out[i] = string(t)
	}
	return out
}

func (r *SpawnRequest) body() *spawnBody {
	return &spawnBody{
		Stream: text(r.Stream), Path: text(r.Path), Argv: texts(r.Argv), Env: texts(r.Env), Dir: text(r.Dir),
		Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Progress: r.Progress, StdoutLog: r.StdoutLog,
		Nice: r.Nice, UMask: r.UMask, CPUAffinity: r.CPUAffinity, Limits: r.Limits, OOMScoreAdj: r.OOMScoreAdj,
		Cgroup: r.Cgroup,
	}
}

func (b *spawnBody) request() *SpawnRequest {
	return &SpawnRequest{
		Stream: string(b.Stream), Path: string(b.Path), Argv: stringsOf(b.Argv), Env: stringsOf(b.Env), Dir: string(b.Dir),
		Stdin: b.Stdin, Stdout: b.Stdout, Stderr: b.Stderr, Progress: b.Progress, StdoutLog: b.StdoutLog,
		Nice: b.Nice, UMask: b.UMask, CPUAffinity: b.CPUAffinity, Limits: b.Limits, OOMScoreAdj: b.OOMScoreAdj,
		Cgroup: b.Cgroup,
	}
}

func (e *Exited) body() *exitedBody {
	if e == nil {
		return nil
	}
	return &exitedBody{
		ID: e.ID, Stream: text(e.Stream), PID: e.PID, Code: e.Code, Signal: e.Signal, Core: e.Core, OOM: e.OOM, Tasks: e.TaskLimit,
		User: int64(e.UserTime), System: int64(e.SystemTime), MaxRSS: e.MaxRSS, At: e.At.UnixNano(), Unknown: e.Unknown,
	}
}

func (b *exitedBody) event() *Exited {
	if b == nil {
		return nil
	}
	return &Exited{
		ID: b.ID, Stream: string(b.Stream), PID: b.PID, Code: b.Code, Signal: b.Signal, Core: b.Core, OOM: b.OOM, TaskLimit: b.Tasks,
		UserTime: time.Duration(b.User), SystemTime: time.Duration(b.System), MaxRSS: b.MaxRSS, At: time.Unix(0, b.At), Unknown: b.Unknown,
	}
}
