package main

// reload, verify and the acting commands print these with --json.

// result is what start, stop, restart, reset-failed and kill did to a stream.
type result struct {
	Name  string `json:"name"`
	PID   uint32 `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
}

// change is what a reload did to a stream.
type change struct {
	Change string `json:"change"` // added, changed, removed, error
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
}

// fileError is what verify finds wrong with a file.
type fileError struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0: the file as a whole
	Text string `json:"text"`
	// Warning: it runs, but probably not as meant.
	Warning bool `json:"warning,omitempty"`

	whole string // as people read it
}

// catFile is a file that cat shows.
type catFile struct {
	Name string `json:"name"`
	File string `json:"file"`
	Text string `json:"text"`
}

// answer is what is-active and is-healthy say.
type answer struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Health string `json:"health"`
}
