package stream

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// packMark begins a note that is compressed; what begins otherwise, as JSON
// does, is as it is. A thousand streams' lines and command lines are ten
// megabytes in the shim, and a sixth of that packed.
const packMark = 'z'

// maxUnpacked bounds a note unpacked, in bytes: a command line and its
// environment, twice.
const maxUnpacked = 8 << 20

// packers are expensive to make and take half a megabyte each.
var packers = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // it fails for no such level only
	return w
}}

// packFrom is the length, in bytes, from which a note is packed: a shorter one,
// such as what most streams run, costs more time than it saves room. Packing
// that was 7 % of the keeper's work at a start of three hundred.
const packFrom = 4 << 10

func pack(data []byte) []byte {
	if len(data) < packFrom && !bytes.HasPrefix(data, []byte{packMark}) {
		return data
	}
	out := bytes.NewBuffer(make([]byte, 0, 64+len(data)/4))
	out.WriteByte(packMark)
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(out)
	w.Write(data) // a Buffer takes everything
	w.Close()
	return out.Bytes()
}

func unpack(note []byte) ([]byte, error) {
	if len(note) == 0 || note[0] != packMark {
		return note, nil
	}
	r := flate.NewReader(bytes.NewReader(note[1:]))
	data, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(data) > maxUnpacked {
		err = fmt.Errorf("more than %d bytes", maxUnpacked)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot unpack what an earlier keeper left: %w", err)
	}
	return data, nil
}
