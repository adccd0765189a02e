package importer

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// unit is a service, or a template.
type unit struct {
	*Importer
	*Result
	name      string // without .service; a template ends with an @
	dirs      []string
	file      string // the main one
	instances []string
	known     map[string]string // streams by the units that they are made of
	set       *assignments
}

func (u *unit) template() bool { return strings.HasSuffix(u.name, "@") }

// load reads the unit with its drop-ins.
func (u *unit) load() bool {
	for _, dir := range u.dirs {
		path := filepath.Join(dir, u.name+serviceSuffix)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		u.file = path
		break
	}
	if u.file == "" {
		what := "there is no such file"
		if u.template() {
			what = "there is no such template"
		}
		u.fail(filepath.Join(u.dirs[0], u.name+serviceSuffix), 0, "", "%s", what)
		return false
	}
	u.set = &assignments{}
	return u.read(u.set, u.file) && u.dropIns(u.set, u.name)
}

func (u *unit) read(set *assignments, file string) bool {
	data, err := readFile(file)
	if err != nil {
		u.fail(file, 0, "", "cannot read it: %v", err)
		return false
	}
	list, errs := streamfile.ParseUnit(file, data)
	for _, e := range errs {
		u.remark(file, e.Line, "", "systemd passes the line over, and so does the import: %s", e.Msg)
	}
	for _, a := range list {
		set.add(file, a)
	}
	return true
}

// dropIns reads the drop-ins of a unit in systemd's order: by file name, of two
// of one name that of the more special directory (systemd.unit(5)). Of an
// instance these are its own alone, for the template's are in what it copies.
func (u *unit) dropIns(set *assignments, name string) bool {
	names := []string{name}
	prefix, instance, at := strings.Cut(name, "@")
	if instance == "" {
		rest := strings.TrimRight(prefix, "-")
		for {
			i := strings.LastIndexByte(rest, '-')
			if i < 0 {
				break
			}
			rest = rest[:i]
			short := rest + "-"
			if at {
				short += "@"
			}
			names = append(names, short)
		}
		names = append(names, "")
	}
	found := map[string]string{}
	for _, n := range names {
		dropIn := n + serviceSuffix + ".d"
		if n == "" {
			dropIn = "service.d"
		}
		for _, dir := range u.dirs {
			list, _ := filepath.Glob(filepath.Join(globQuote(filepath.Join(dir, dropIn)), "*.conf"))
			for _, file := range list {
				base := filepath.Base(file)
				if _, ok := found[base]; !ok {
					found[base] = file
				}
			}
		}
	}
	for _, base := range slices.Sorted(maps.Keys(found)) {
		if target, err := filepath.EvalSymlinks(found[base]); err == nil && target == os.DevNull {
			continue // masked
		}
		if !u.read(set, found[base]) {
			return false
		}
	}
	return true
}

// globQuote makes a path one that filepath.Glob takes as it is: escaped
// instance names have backslashes.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// found are the instances that units want, that are links, or that have
// drop-ins of their own.
func (u *unit) found() []string {
	var instances []string
	for _, dir := range u.dirs {
		for _, pattern := range []string{"*.wants/", "*.requires/", "*.upholds/", ""} {
			for _, end := range []string{serviceSuffix, serviceSuffix + ".d"} {
				list, _ := filepath.Glob(filepath.Join(globQuote(dir), pattern+globQuote(u.name)+"*"+end))
				for _, file := range list {
					name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), u.name), end)
					if name != "" {
						instances = append(instances, name)
					}
				}
			}
		}
	}
	return instances
}

// enabled: a unit wants this one, so that it starts at boot.
func (u *unit) enabled(name string) bool {
	for _, dir := range u.dirs {
		for _, pattern := range []string{"*.wants", "*.requires", "*.upholds"} {
			if list, _ := filepath.Glob(filepath.Join(globQuote(dir), pattern, globQuote(name+serviceSuffix))); len(list) > 0 {
				return true
			}
		}
	}
	return false
}

// streams are the stream of the unit, or those of the template.
func (u *unit) streams() []Stream {
	if !u.template() {
		if s, ok := u.stream(u.name, u.set, specifiers{unit: u.name, prefix: u.name, host: u.Hostname, file: u.file}); ok {
			return []Stream{s}
		}
		return nil
	}
	prefix := strings.TrimSuffix(u.name, "@")
	var out []Stream
	// Nothing is said of a template twice, and only what counts in the end.
	said := len(u.Remarks)
	sp := specifiers{unit: u.name, prefix: prefix, abstract: true, host: u.Hostname, file: u.file}
	abstract, shared := u.stream(u.name, u.set, sp)
	if shared {
		out = append(out, abstract)
	} else {
		why := slices.DeleteFunc(slices.Clone(u.Remarks[said:]), func(m Remark) bool { return !m.Failed })
		if u.needsInstance(why) && len(u.instances) > 0 {
			u.Remarks = u.Remarks[:said]
			for _, m := range why {
				u.remark(m.File, m.Line, m.Key, "%s; each instance gets a file of its own", strings.TrimSuffix(m.Text, onlyInstances))
			}
		}
	}
	if len(u.instances) == 0 {
		u.remark(u.file, 0, "", "no instance of it is enabled; name them as %s@INSTANCE.service, or make links to the template as ffkeeper.stream(5) has it", printable(prefix))
	}
	for _, instance := range u.instances {
		name := prefix + "@" + instance
		own := &assignments{list: slices.Clone(u.set.list)}
		before := len(own.list)
		if !u.dropIns(own, name) {
			continue
		}
		sp := specifiers{unit: name, prefix: prefix, instance: instance, host: u.Hostname, file: u.file}
		plain := streamName(name) == name && (sp.unescaped() == instance || !u.set.unescapes())
		if shared && plain && len(own.list) == before {
			out = append(out, Stream{Name: name, LinkTo: abstract.FileName(), File: u.file})
			continue
		}
		if s, ok := u.stream(name, own, sp); ok {
			out = append(out, s)
		}
	}
	return out
}

const onlyInstances = ", which a template of ffkeeper's cannot have there"

func (u *unit) needsInstance(failed []Remark) bool {
	return len(failed) > 0 && !slices.ContainsFunc(failed, func(m Remark) bool { return !strings.HasSuffix(m.Text, onlyInstances) })
}
