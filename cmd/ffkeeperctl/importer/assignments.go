package importer

import (
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// assignments are those of a unit's files in their order.
type assignments struct{ list []assigned }

type assigned struct {
	streamfile.Assignment
	file string
}

// add appends, or forgets what an empty value takes back.
func (s *assignments) add(file string, a streamfile.Assignment) {
	if a.Value == "" {
		s.list = slices.DeleteFunc(s.list, func(b assigned) bool { return b.Section == a.Section && b.Key == a.Key })
		return
	}
	s.list = append(s.list, assigned{a, file})
}

// all are the values of a key; of a key that can have one only the last counts.
func (s *assignments) all(section, key string) []assigned {
	var out []assigned
	for _, a := range s.list {
		if a.Section == section && a.Key == key {
			out = append(out, a)
		}
	}
	return out
}

func (s *assignments) last(section, key string) (assigned, bool) {
	all := s.all(section, key)
	if len(all) == 0 {
		return assigned{}, false
	}
	return all[len(all)-1], true
}

// unescapes: the instance stands there unescaped, by %I or as the path %f.
func (s *assignments) unescapes() bool {
	return slices.ContainsFunc(s.list, func(a assigned) bool {
		return strings.Contains(a.Value, "%I") || strings.Contains(a.Value, "%f")
	})
}
