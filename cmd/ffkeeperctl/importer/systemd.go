package importer

import (
	"path/filepath"
	"slices"
	"strings"
)

// unitPath is where systemd looks for units of the system, the first that wins.
var unitPath = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

const serviceSuffix = ".service"

// Systemd makes streams of service units. A file NAME@.service is a template,
// which brings those of its instances along that are enabled or have drop-ins;
// NAME@INSTANCE.service is one of them, and need not exist as a file.
func (im *Importer) Systemd(files []string) *Result {
	r := &Result{}
	type job struct {
		name string
		dirs []string
		// asked are the instances named by the caller; all: those that are
		// found, too.
		asked []string
		all   bool
	}
	var jobs []*job
	find := func(name string, dirs []string) *job {
		for _, j := range jobs {
			if j.name == name && slices.Equal(j.dirs, dirs) {
				return j
			}
		}
		j := &job{name: name, dirs: dirs}
		jobs = append(jobs, j)
		return j
	}
	for _, file := range files {
		name, ok := strings.CutSuffix(filepath.Base(file), serviceSuffix)
		if !ok || name == "" || name[0] == '@' {
			r.fail(file, 0, "", "it is not named as a service: NAME.service, NAME@.service or NAME@INSTANCE.service")
			continue
		}
		dirs := im.directories(filepath.Dir(file))
		prefix, instance, isInstance := strings.Cut(name, "@")
		if !isInstance {
			find(name, dirs)
			continue
		}
		j := find(prefix+"@", dirs)
		if instance == "" {
			j.all = true
		} else {
			j.asked = append(j.asked, instance)
		}
	}
	var units []*unit
	for _, j := range jobs {
		u := &unit{Importer: im, Result: r, name: j.name, dirs: j.dirs}
		if !u.load() {
			continue
		}
		u.instances = j.asked
		if j.all {
			u.instances = append(u.instances, u.found()...)
		}
		slices.Sort(u.instances)
		u.instances = slices.Compact(u.instances)
		units = append(units, u)
	}
	known := map[string]string{}
	for _, u := range units {
		if !u.template() {
			known[u.name+serviceSuffix] = streamName(u.name)
		}
	}
	seen := map[string]bool{}
	for _, u := range units {
		u.known = known
		for _, s := range u.streams() {
			if seen[s.Name] {
				r.fail(s.File, 0, "", "the stream %s is made of another unit, too", s.Name)
				continue
			}
			seen[s.Name] = true
			r.Streams = append(r.Streams, s)
		}
	}
	r.finish()
	return r
}

// directories are those in which a unit's parts may be: all of systemd's for a
// file in one of these, else its own alone.
func (im *Importer) directories(dir string) []string {
	search := im.Search
	if search == nil {
		search = unitPath
	}
	if slices.Contains(search, absolute(dir)) {
		return search
	}
	return []string{dir}
}
