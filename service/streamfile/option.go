package streamfile

import "slices"

// Option is one option of a stream file, for people: manual, completion.
type Option struct {
	Name        string // without "="
	Group       string // heading it stands under in the manual
	Value       string // what is written: "time span", "command", "auto or no"
	Values      []string
	Default     string // as shown to people; "" is none
	Description string // one line
	// Several: it may be given more than once, each adds to the ones before;
	// an empty value forgets them.
	Several bool
}

// Options are all options, in the order of the manual. The caller owns the
// slice.
func Options() []Option {
	out := make([]Option, len(table))
	for i, s := range table {
		out[i] = s.Option
		out[i].Values = slices.Clone(s.Values)
	}
	return out
}

// spec is an Option and what is done with it.
type spec struct {
	Option
	// initial is what stands where nothing is given, written as in a file;
	// "": the zero value.
	initial string
	value
}

// value is how the value of an option is read, taken back and checked.
type value struct {
	kind    string   // Option.Value
	allowed []string // Option.Values
	list    bool     // Option.Several
	// set reads text, which is not empty, into d.
	set func(d *Definition, src *source, text string) *problem
	// reset puts the zero value back, before initial is set.
	reset func(d *Definition)
	// check judges what d holds, wherever it came from; nil: nothing can be
	// wrong. set need not, except for what it adds to a list.
	check func(d *Definition) *problem
}

// source is where a value comes from, for what is read of it.
type source struct {
	file string
	*assignment
	warn func(*problem)
	// own expands ${NAME}, ${PREFIX} and ${INSTANCE}.
	own func(text string) (string, *problem)
}

// position is where byte offset of the value stands.
func (s *source) position(offset int) position { return position{s.file, s.lineAt(offset)} }

var table = complete(specs())

// complete fills in what the rows leave to their value.
func complete(rows []spec) []spec {
	for i := range rows {
		r := &rows[i]
		r.Value, r.Values, r.Several = r.kind, r.allowed, r.list
		if r.Default == "" {
			r.Default = r.initial
		}
	}
	return rows
}

var byName = func() map[string]*spec {
	m := make(map[string]*spec, len(table))
	for i := range table {
		m[table[i].Name] = &table[i]
	}
	return m
}()

// clear puts the default back.
func (s *spec) clear(d *Definition) {
	s.reset(d)
	if s.initial == "" {
		return
	}
	if err := s.set(d, &source{assignment: &assignment{}}, s.initial); err != nil {
		panic("default of " + s.Name + ": " + err.text(func(s string) string { return s }))
	}
}

// verify is check where there is one.
func (s *spec) verify(d *Definition) *problem {
	if s.check == nil {
		return nil
	}
	return s.check(d)
}
