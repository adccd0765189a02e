package streamfile

import (
	"slices"
	"strings"
)

// PresetOption is one option of an output preset, as OutputPreset= gives it:
// variables and credentials not yet expanded.
type PresetOption struct {
	Preset        string // the preset's name
	Option, Value string
	File          string
	Line          int
}

// EnvironmentCredential is a variable whose value is a credential.
type EnvironmentCredential struct {
	Variable, Credential string
	File                 string
	Line                 int
}

// maxPresetLine is the longest line of a preset that ffmpeg reads as one, in
// bytes without its end: char line[1000] in opt_preset, ffmpeg_opt.c of 5.1.
// What is longer it takes for two, and says so with the second.
const maxPresetLine = 998

// outputPreset is OutputPreset=NAME OPTION=VALUE ...
func outputPreset() value {
	return value{
		kind: "NAME option=value ...",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			words, warnings, err := splitWords(text)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				src.warn(w)
			}
			if len(words) == 1 {
				return wrong("write OutputPreset=NAME option=value ...", "the preset has no option")
			}
			for _, w := range words[1:] {
				option, text, ok := strings.Cut(w.text, "=")
				if !ok {
					return wrong("write option=value, in quotes if the value has blanks", "a word is no option with a value").in(w.at)
				}
				o := PresetOption{Preset: words[0].text, Option: option, Value: text, File: src.file, Line: src.lineAt(w.at)}
				if err := checkPresetOption(o); err != nil {
					return err.in(w.at)
				}
				d.OutputPresets = append(d.OutputPresets, o)
			}
			return nil
		},
		reset: func(d *Definition) { d.OutputPresets = nil },
		check: func(d *Definition) *problem { return each(d.OutputPresets, checkPresetOption) },
	}
}

// checkPresetOption never shows what may be a secret.
func checkPresetOption(o PresetOption) *problem {
	switch {
	case !validVariable("_" + o.Preset):
		return wrong("a name has letters, digits and _", "the first word is not the name of a preset")
	case strings.HasPrefix(o.Option, "-"):
		return wrong("remove the dash: a preset has option=value", "an option of a preset begins with a dash")
	case !validPresetOption(o.Option):
		return wrong("write option=value, with the name of one of ffmpeg's output options", "a word is no option with a value")
	case o.Value == "":
		return wrong("", "the option %s has no value", o.Option)
	case holdsNewline(o.Value):
		return wrong("", "the value of %s has several lines or a NUL byte, which a preset cannot hold", o.Option)
	}
	return nil
}

// validPresetOption: a name of ffmpeg's, maybe with a stream specifier.
func validPresetOption(s string) bool {
	return s != "" && strings.IndexByte("-.:", s[0]) < 0 && strings.IndexFunc(s, func(r rune) bool {
		return !(r < 0x80 && validVariable("_"+string(r))) && !strings.ContainsRune("-.:", r)
	}) < 0
}

func (d *Definition) hasPreset(name string) bool {
	return slices.ContainsFunc(d.OutputPresets, func(o PresetOption) bool { return o.Preset == name })
}

// presets are the names of d's presets, in the order of the file.
func (d *Definition) presets() []string {
	var names []string
	for _, o := range d.OutputPresets {
		names = append(names, o.Preset)
	}
	return once(names)
}

// preset makes the text of a preset, a line an option. Its errors are told
// once a start, however often it is named.
func (e *environ) preset(d *Definition, name string) (_ string, errs, notes []*Error) {
	if text, ok := e.texts[name]; ok {
		return text, nil, nil
	}
	var text strings.Builder
	for _, o := range d.OutputPresets {
		if o.Preset != name {
			continue
		}
		value, err := e.presetValue(d, o)
		at := position{o.File, o.Line}
		e.doubt(func(p *problem) { notes = append(notes, d.problem(at, "OutputPreset", p)) })
		if err != nil {
			errs = append(errs, d.problem(at, "OutputPreset", err))
			continue
		}
		text.WriteString(o.Option + "=" + value + "\n")
	}
	if len(errs) == 0 && text.Len() > MaxCredential {
		at := d.where["OutputPreset"]
		errs = append(errs, d.problem(at, "OutputPreset", wrong("", "the preset %s is larger than %d bytes", name, MaxCredential)))
	}
	if e.texts == nil {
		e.texts = make(map[string]string)
	}
	e.texts[name] = text.String()
	return text.String(), errs, notes
}

// presetValue expands one value of a preset.
func (e *environ) presetValue(d *Definition, o PresetOption) (string, *problem) {
	named := "" // the credential in it, if there is one
	x := &expander{
		get: e.get, names: e.known, left: maxCommand, vague: e.vague,
		remedy: "set it by Environment= or EnvironmentFile=, or write $$ for a dollar",
		special: func(name string) (string, bool, *problem) {
			if strings.HasPrefix(name, filePrefix) {
				return "", true, wrong("write ${CREDENTIAL:...}", "a file cannot be a value in a preset")
			}
			if e.isSecret(name) {
				return "", true, wrong("write ${CREDENTIAL:...}", "%s holds a credential and is only for the command's environment", name)
			}
			credential, ok := strings.CutPrefix(name, credentialPrefix)
			if !ok {
				return "", false, nil
			}
			credential, err := d.expandOwn(credential)
			if err != nil {
				return "", true, err
			}
			named = credential
			value, err := e.line(d, credential)
			return value, true, err
		},
	}
	value, err := x.text(o.Value)
	of := "the value of " + o.Option
	if named != "" {
		of += ", from the credential " + named + ","
	}
	switch {
	case err != nil:
		return "", err
	case value == "" && !e.vague:
		return "", wrong("", "%s is empty", of)
	case holdsNewline(value):
		return "", wrong("", "%s has several lines or a NUL byte, which a preset cannot hold", of)
	case len(o.Option)+1+len(value) > maxPresetLine:
		return "", wrong("", "%s is too long for a preset: ffmpeg takes %d bytes", of, maxPresetLine-len(o.Option)-1)
	}
	return value, nil
}

// environmentCredential is EnvironmentCredential=VARIABLE=CREDENTIAL ...
func environmentCredential() value {
	return value{
		kind: "NAME=credential ...",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			words, _, err := splitWords(text)
			if err != nil {
				return err
			}
			for _, w := range words {
				variable, name, ok := strings.Cut(w.text, "=")
				if !ok {
					return wrong("write VARIABLE=CREDENTIAL", "a word is no assignment").in(w.at)
				}
				name, err := src.own(name)
				if err != nil {
					return err.in(w.at)
				}
				c := EnvironmentCredential{Variable: variable, Credential: name, File: src.file, Line: src.lineAt(w.at)}
				if err := checkEnvironmentCredential(c); err != nil {
					return err.in(w.at)
				}
				d.EnvironmentCredentials = append(d.EnvironmentCredentials, c)
			}
			return nil
		},
		reset: func(d *Definition) { d.EnvironmentCredentials = nil },
		check: func(d *Definition) *problem { return each(d.EnvironmentCredentials, checkEnvironmentCredential) },
	}
}

func checkEnvironmentCredential(c EnvironmentCredential) *problem {
	switch {
	case !validVariable(c.Variable):
		return wrong("a name has letters, digits and _ and does not begin with a digit", "a word is no assignment to a variable")
	case c.Variable == streamVariable:
		return wrong("choose another name", "%s is always the stream's name", c.Variable)
	}
	return checkCredential(c.Credential)
}
