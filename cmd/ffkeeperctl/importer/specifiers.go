package importer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

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

// expand replaces specifiers as systemd does, to which a % before anything but
// a letter or a digit is just that. variables: ${INSTANCE} may stand in the
// result, all else of which is as it will be; dollars: those of the text are
// to stay what they are.
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
