package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// MinSecret is the least length in bytes of a registered secret. A shorter
	// one would take common words out of every message.
	MinSecret = 4
	// MaxSecrets is how many secrets may be registered at a time.
	MaxSecrets = 1 << 16

	block = 4 // bytes that are hashed to recognise a secret; at most MinSecret

	// cutWhole is the length up to which a secret is only recognised as a
	// whole; of a longer one the first half will do, at least so many bytes.
	cutWhole = 8
)

// ErrTooShort is returned for a secret of less than MinSecret bytes, and for
// one that is a part of Marker.
var ErrTooShort = errors.New("too short to be a secret")

// Register makes secret a value that is removed wherever it appears: as it is,
// percent-encoded, with the escapes of JSON, Go or sh, and cut after more than
// half of it. Registering it again changes nothing. It returns ErrTooShort, or
// an error if MaxSecrets are registered already; both may be ignored where the
// secret is only an extra.
func (r *Redactor) Register(secret string) error {
	if len(secret) < MinSecret || strings.Contains(Marker, secret) {
		return ErrTooShort
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.secrets.has(secret) && r.secrets.count() >= MaxSecrets {
		return fmt.Errorf("cannot register a secret: there are %d already", MaxSecrets)
	}
	r.secrets.add(secret, forever)
	r.registered.Store(int64(r.secrets.count()))
	return nil
}

// forever is the number of references that keeps a secret that was registered
// rather than learned.
const forever = 1 << 30

// secrets is a set of strings that can be found in a text in one pass, whatever
// their number. A bitmap of hashes of four bytes says where a closer look is
// worth it; only every stride-th position of a text is hashed, because each
// secret has stride consecutive blocks in the bitmap.
type secrets struct {
	refs   map[string]int      // how often each was added
	blocks map[uint32][]needle // by the block at each of the offsets
	bitmap []uint64
	stride int
	stale  int // removed ones that are still in the bitmap
}

// needle is a secret, seen from one of its blocks.
type needle struct {
	secret string
	offset int // of the block
	enough int // bytes that must be there for a match, of a cut secret too
}

func (s *secrets) count() int { return len(s.refs) }

func (s *secrets) has(secret string) bool { return s.refs[secret] > 0 }

// add adds one, times references.
func (s *secrets) add(secret string, times int) {
	if s.refs == nil {
		s.refs, s.blocks = map[string]int{}, map[uint32][]needle{}
		s.stride = cutWhole - block + 1
	}
	known := s.refs[secret] > 0
	s.refs[secret] = min(s.refs[secret]+times, forever)
	if known {
		return
	}
	stride := min(s.stride, enough(secret)-block+1)
	if stride < s.stride || len(s.refs)*s.stride*16 > len(s.bitmap)*64 {
		s.rebuild(stride)
		return
	}
	s.index(secret)
}

// remove takes one reference away; the secret goes with its last.
func (s *secrets) remove(secret string) {
	n := s.refs[secret]
	if n == 0 || n == forever {
		return
	}
	if n > 1 {
		s.refs[secret] = n - 1
		return
	}
	delete(s.refs, secret)
	for o := range s.stride {
		b := blockAt(secret, o)
		s.blocks[b] = slices.DeleteFunc(s.blocks[b], func(n needle) bool { return n.secret == secret })
		if len(s.blocks[b]) == 0 {
			delete(s.blocks, b)
		}
	}
	if s.stale++; s.stale > len(s.refs)+64 {
		s.rebuild(s.stride)
	}
}

func (s *secrets) index(secret string) {
	for o := range s.stride {
		b := blockAt(secret, o)
		s.blocks[b] = append(s.blocks[b], needle{secret, o, enough(secret)})
		h := s.hash(b)
		s.bitmap[h/64] |= 1 << (h % 64)
	}
}

// rebuild makes the index anew, with room for as many secrets again.
func (s *secrets) rebuild(stride int) {
	words := 64
	for words*64 < len(s.refs)*stride*32 {
		words *= 2
	}
	s.bitmap, s.blocks, s.stride, s.stale = make([]uint64, words), map[uint32][]needle{}, stride, 0
	for secret := range s.refs {
		s.index(secret)
	}
}

// enough returns how many bytes of a secret are enough to know it.
func enough(secret string) int {
	if len(secret) <= cutWhole {
		return len(secret)
	}
	return max(cutWhole, (len(secret)+1)/2)
}

func blockAt(s string, i int) uint32 {
	_ = s[i+3]
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

// hash is Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
func (s *secrets) hash(b uint32) uint32 {
	return uint32(uint64(b*0x9E3779B1) * uint64(len(s.bitmap)*64) >> 32)
}

// find appends where in text a secret stands.
func (s *secrets) find(text string, found []span) []span {
	if len(s.refs) == 0 {
		return found
	}
	for i := 0; i+block <= len(text); i += s.stride {
		b := blockAt(text, i)
		if h := s.hash(b); s.bitmap[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, n := range s.blocks[b] {
			if from := i - n.offset; from >= 0 {
				if to := from + n.match(text[from:]); to > from {
					found = append(found, span{from, to})
				}
			}
		}
	}
	if len(text) >= cutLength {
		found = s.findCut(text, found)
	}
	return found
}

// match returns how many bytes at the beginning of text are the secret, or
// enough of it with the rest cut off; 0 if neither.
func (n needle) match(text string) int {
	if len(text) < n.enough || text[:n.enough] != n.secret[:n.enough] {
		return 0
	}
	i := n.enough
	for i < len(text) && i < len(n.secret) && text[i] == n.secret[i] {
		i++
	}
	// in the middle of a word it is another word that begins alike
	if i < len(n.secret) && i < len(text) && isNameByte(text[i]) {
		return 0
	}
	return i
}

// findCut appends the beginning of a secret at the very end of a text that is
// long enough to have been cut there, be there as little of it as there may.
func (s *secrets) findCut(text string, found []span) []span {
	const longest = 4096
	for i := max(0, len(text)-longest); i+block <= len(text); i++ {
		b := blockAt(text, i)
		if h := s.hash(b); s.bitmap[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, n := range s.blocks[b] {
			if n.offset == 0 && strings.HasPrefix(n.secret, text[i:]) {
				return append(found, span{i, len(text)})
			}
		}
	}
	return found
}
