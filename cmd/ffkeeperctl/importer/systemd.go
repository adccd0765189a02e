package importer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
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

// specifiers is what the % of a unit stand for.
type specifiers struct {
	unit     string // without .service
	prefix   string
	instance string
	abstract bool // a template's: the instance is not known yet
	host     string
	file     string
}

// unescaped is the instance as systemd-escape -u has it.
func (sp specifiers) unescaped() string { return unescape(sp.instance) }

// unescape is unit_name_unescape: - is a slash, \xHH a byte.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if c, err := hex.DecodeString(s[i+2 : i+4]); err == nil {
				b.Write(c)
				i += 3
				continue
			}
		}
		if s[i] == '-' {
			b.WriteByte('/')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// constants are the specifiers that are the same for every unit of the system's
// manager, whose user is root.
var constants = map[byte]string{
	't': "/run", 'S': "/var/lib", 'C': "/var/cache", 'L': "/var/log", 'E': "/etc", 'T': "/tmp", 'V': "/var/tmp",
	'u': "root", 'U': "0", 'g': "root", 'G': "0", 'h': "/root",
}

// unknowable are those that no stream file can hold.
const unknowable = "abABcdDHlmMoqrRsvwWyY"

// errAbstract is in an error of what only an instance can have.
var errAbstract = errors.New("it names the instance" + onlyInstances)

// expand replaces specifiers as systemd does, to which a % before anything but a
// letter or a digit is just that. variables: ${INSTANCE} may stand in the result, all else of which is as
// it will be; dollars: those of the text are to stay what they are.
func (sp specifiers) expand(text string, variables, dollars bool) (string, error) {
	var b strings.Builder
	literal := func(s string) {
		if dollars {
			s = escapeDollars(s)
		}
		b.WriteString(s)
	}
	instance := func(s string) error {
		if !sp.abstract {
			literal(s)
			return nil
		}
		if !variables {
			return errAbstract
		}
		b.WriteString("${INSTANCE}")
		return nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			literal(text[i : i+1])
			continue
		}
		i++
		var err error
		switch c := text[i]; c {
		case '%':
			b.WriteByte('%')
		case 'i':
			err = instance(sp.instance)
		case 'I':
			err = instance(sp.unescaped())
		case 'p', 'P':
			s := sp.prefix
			if c == 'P' {
				s = unescape(s)
			}
			literal(s)
		case 'j', 'J':
			s := sp.prefix[strings.LastIndexByte(sp.prefix, '-')+1:]
			if c == 'J' {
				s = unescape(s)
			}
			literal(s)
		case 'n', 'N':
			literal(strings.TrimSuffix(sp.unit, sp.instance))
			if strings.Contains(sp.unit, "@") {
				err = instance(sp.instance)
			}
			if c == 'n' {
				literal(serviceSuffix)
			}
		case 'f':
			literal("/")
			if strings.Contains(sp.unit, "@") {
				err = instance(sp.unescaped())
			} else {
				literal(unescape(sp.prefix))
			}
		default:
			s, ok := constants[c]
			switch {
			case ok:
				literal(s)
			case c == 'H' && sp.host != "":
				literal(sp.host)
			case strings.IndexByte(unknowable, c) >= 0:
				err = fmt.Errorf("%%%c has no counterpart; write what it stands for", c)
			case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
				err = fmt.Errorf("systemd knows no %%%c, and does not start the unit; write %%%%%[1]c for the text", c)
			default:
				literal(text[i-1 : i+1])
			}
		}
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
