package redact

import (
	"slices"
	"strings"
)

// lessons are what has been learned of one owner, from its newest command line
// and from the one before: lines of the process before may still be under way.
type lessons struct{ newest, before []string }

// Learn finds the secrets in a command line and an environment and has them
// removed wherever they appear from now on, also without anything around them
// that tells what they are, as in an RTMP server's answer "KEY is already
// publishing". It is called before each start of a process. owner, a stream's
// name, says whose they are: what its last but one call has taught is
// forgotten, so that secrets that change from start to start do not pile up.
//
// What an owner has several commands of, each is learned as a part of it, whose
// name is the owner's, PartMark and its own.
//
// Values that could well be ordinary words are not learned, nor is the owner's
// name, which some use as a stream key too; String still removes those where
// their place in a URL gives them away.
func (r *Redactor) Learn(owner string, argv, env []string) {
	var taught, whole []string
	for i, arg := range argv {
		switch role := roleOf(argv, i); role {
		case argSecret:
			if k := nameOf(optionName(argv[i-1])); k == line {
				taught = append(taught, r.secretsIn(arg, false)...)
			} else {
				taught = append(taught, arg)
			}
		case argPlayPath:
			before, key, _ := cutPlayPath(arg)
			taught = append(taught, key)
			if !learnable(key, owner) {
				// It looks like an application to String; with its server
				// before it no other word is hidden by mistake.
				host := strings.TrimRight(before, "/")
				whole = append(whole, host[strings.LastIndexAny(host, "/@")+1:]+before[len(host):]+key)
			}
		case argAssignment:
			_, value, _ := strings.Cut(arg, "=")
			taught = append(taught, value)
		default:
			taught = append(taught, r.secretsIn(arg, role == argURL)...)
		}
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if k := nameOf(name); k >= weak && k != line && !harmless(name, value) {
			taught = append(taught, value)
		} else {
			taught = append(taught, r.secretsIn(value, true)...)
		}
	}
	r.teach(owner, slices.Concat(parts(taught, owner), whole))
}

// PartMark stands between an owner's name, which must not have it, and that of
// a part of it.
const PartMark = "!"

// Forget forgets what Learn has learned of owner and its parts.
func (r *Redactor) Forget(owner string) {
	r.mu.RLock()
	owners := []string{owner}
	for o := range r.learned {
		if strings.HasPrefix(o, owner+PartMark) {
			owners = append(owners, o)
		}
	}
	r.mu.RUnlock()
	for _, o := range owners {
		r.teach(o, nil)
		r.teach(o, nil)
	}
}

func (r *Redactor) teach(owner string, taught []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.learned[owner]
	if l == nil {
		if len(taught) == 0 {
			return
		}
		l = &lessons{}
		r.learned[owner] = l
	}
	if len(taught) > 0 && slices.Equal(l.newest, taught) {
		return // the same command line once more, as at most restarts
	}
	for _, secret := range taught {
		if r.secrets.has(secret) || r.secrets.count() < MaxSecrets {
			r.secrets.add(secret, 1)
		}
	}
	for _, secret := range l.before {
		r.secrets.remove(secret)
	}
	l.newest, l.before = taught, l.newest
	if len(l.newest)+len(l.before) == 0 {
		delete(r.learned, owner)
	}
	r.registered.Store(int64(r.secrets.count()))
}

// secretsIn returns the parts of arg that are secret by their form.
func (r *Redactor) secretsIn(arg string, whole bool) []string {
	var fresh Redactor // without what is known already
	var texts []string
	for _, f := range fresh.find(arg, whole) {
		texts = append(texts, arg[f.from:f.to])
	}
	return texts
}

// parts returns what is worth learning of the texts: each as a whole, its
// pieces (a password out of USER:PASSWORD, a stream key out of KEY?PARAMETERS,
// the credentials of a header), and all of them percent-decoded. The result is
// sorted, each once.
func parts(texts []string, owner string) []string {
	var all []string
	learn := func(s string) {
		if d, ok := percentDecoded(s); ok && learnable(d.text, owner) {
			all = append(all, d.text)
		}
		if learnable(s, owner) {
			all = append(all, s)
		}
	}
	for _, text := range texts {
		learn(text)
		if _, password, ok := strings.Cut(text, ":"); ok {
			learn(password)
		}
		for _, between := range [...]string{" \t\r\n\",;", " \t\r\n\",;?&=/"} {
			for piece := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune(between, c) }) {
				learn(piece)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// learnable reports whether s is unlikely to be an ordinary word.
func learnable(s, owner string) bool {
	if len(s) < 8 || strings.Contains(owner, s) || strings.Contains(s, Marker) {
		return false
	}
	var lower, upper, digit, other int
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			lower++
		case 'A' <= c && c <= 'Z':
			upper++
		case '0' <= c && c <= '9':
			digit++
		default:
			other++
		}
	}
	letters := lower + upper
	return digit > 0 && letters > 0 || lower > 0 && upper > 1 || upper >= 8 || other > 1 && letters > 0 || len(s) >= 16
}
