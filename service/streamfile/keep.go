package streamfile

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Kept is a definition and what one start of it ran, for a keeper that takes a
// running stream over from an earlier one: the files may have changed since.
type Kept struct {
	Definition *Definition
	Launch     *Launch
}

// keptForm is what is written down: the definition's unexported part is beside
// it, as far as it is not of this machine and moment.
type keptForm struct {
	Definition *Definition `json:"definition"`
	AutoStdin  bool        `json:"auto_stdin,omitempty"`
	AutoStdout bool        `json:"auto_stdout,omitempty"`
	Launch     *Launch     `json:"launch"`
}

// Encode writes k down. Fields that another version of this program does not
// know are passed over there, and those it has more keep their defaults.
func (k *Kept) Encode() ([]byte, error) {
	if k.Definition == nil || k.Launch == nil {
		return nil, errors.New("cannot keep a definition: it is not complete")
	}
	form := keptForm{
		Definition: k.Definition, Launch: k.Launch,
		AutoStdin: k.Definition.auto.stdin, AutoStdout: k.Definition.auto.stdout,
	}
	safe := mapStrings(reflect.ValueOf(form), textOf)
	return json.Marshal(safe.Interface())
}

// DecodeKept reads what Encode has written. The definition is bound to no
// machine yet: see With.
func DecodeKept(data []byte) (*Kept, error) {
	form := keptForm{Definition: defaults(), Launch: new(Launch)}
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, fmt.Errorf("cannot read a kept definition: %w", err)
	}
	if form.Definition == nil || form.Launch == nil || form.Definition.Name == "" {
		return nil, errors.New("cannot read a kept definition: it is not complete")
	}
	form = mapStrings(reflect.ValueOf(form), bytesOf).Interface().(keptForm)
	form.Definition.auto.stdin, form.Definition.auto.stdout = form.AutoStdin, form.AutoStdout
	return &Kept{Definition: form.Definition, Launch: form.Launch}, nil
}

// rawMark begins a string of any bytes, in base64. JSON's strings are UTF-8
// only, yet file names and arguments need not be; and none of them holds a NUL.
const rawMark = "\x00"

func textOf(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, rawMark) {
		return s
	}
	return rawMark + base64.StdEncoding.EncodeToString([]byte(s))
}

func bytesOf(s string) string {
	coded, ok := strings.CutPrefix(s, rawMark)
	if !ok {
		return s
	}
	raw, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return coded // not of ours: better than nothing
	}
	return string(raw)
}

// mapStrings answers a copy of v in which every string is f of it; what is
// unexported is left out.
func mapStrings(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(mapStrings(v.Elem(), f))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(mapStrings(v.Index(i), f))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for key, value := range v.Seq2() {
				out.SetMapIndex(mapStrings(key, f), mapStrings(value, f))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(mapStrings(v.Field(i), f))
			}
		}
	default:
		out.Set(v)
	}
	return out
}
