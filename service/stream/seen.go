package stream

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

// seen is what a stream has been seen to do: what moves all the time, and so
// is written down now and then only.
type seen struct {
	V int `json:"v"`

	Moved        stamp         `json:"moved,omitempty"`
	LastActivity stamp         `json:"last_activity,omitempty"`
	Live         *liveRecord   `json:"live,omitempty"`
	Block        *ffmpeg.Block `json:"block,omitempty"` // the newest
	Ended        bool          `json:"ended,omitempty"` // it said end
	Tagged       bool          `json:"tagged,omitempty"`
	Received     uint64        `json:"received,omitempty"`
	PID          int           `json:"pid,omitempty"` // whose Moved, Live and Block these are

	Lines   []lineRecord `json:"lines,omitempty"`
	Errors  []string     `json:"errors,omitempty"`
	Dropped uint64       `json:"dropped,omitempty"`

	// Of a keeper that left in good order, with nothing seen since: lines it had
	// read the beginning of.
	Left   bool        `json:"left,omitempty"`
	Stderr *partRecord `json:"stderr,omitempty"`
	Stdout *partRecord `json:"stdout,omitempty"`
}

type liveRecord struct {
	Frame   uint64        `json:"frame,omitempty"`
	OutTime time.Duration `json:"out_time_ns,omitempty"`
	Size    uint64        `json:"size,omitempty"`
	LastAt  stamp         `json:"last_at,omitempty"`
	MovedAt stamp         `json:"moved_at,omitempty"`
	FrameAt stamp         `json:"frame_at,omitempty"`
	Gap     time.Duration `json:"gap_ns,omitempty"`
}

type lineRecord struct {
	At       int64  `json:"at"` // Unix time in ns: it is only ever shown
	Priority int    `json:"priority"`
	Text     string `json:"text"`
}

type partRecord struct {
	Data []byte `json:"data,omitempty"`
	Long bool   `json:"long,omitempty"`
}

func marshalSeen(s *seen) ([]byte, error) {
	s.V = recordVersion
	return json.Marshal(s)
}

func unmarshalSeen(data []byte) (*seen, error) {
	s := new(seen)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("cannot read what an earlier keeper has seen: %w", err)
	}
	if s.V < 1 || s.V > recordVersion {
		return nil, fmt.Errorf("what an earlier keeper has seen is of version %d; this one reads 1 to %d", s.V, recordVersion)
	}
	return s, nil
}
