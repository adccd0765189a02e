package streamfile

import "strings"

const (
	// suffix is what the files of streams end with; dropInSuffix, the
	// directories of their drop-ins.
	suffix       = ".stream"
	dropInSuffix = ".stream.d"

	// maxName is the longest name of a stream.
	maxName = 100
)

// checkName: letters, digits and -_.@, so that a name is a file, a control
// group and a journal field without any escaping.
func checkName(name string) *problem {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.@", r))
	})
	const rule = "a name has letters, digits and - _ . @"
	switch {
	case name == "":
		return wrong(rule, "a stream's name cannot be empty")
	case bad >= 0:
		return wrong(rule, "%s is not a stream's name", quoted(name))
	case len(name) > maxName:
		return wrong("", "the name %s has more than %d characters", quoted(name), maxName)
	case name[0] == '.':
		return wrong("", "the name %s begins with a dot", quoted(name))
	case name[0] == '@':
		return wrong("write PREFIX@INSTANCE", "the name %s has nothing before its @", quoted(name))
	case strings.Contains(name, ".."):
		return wrong("", "the name %s has two dots in a row", quoted(name))
	case isTemplate(name):
		return wrong("write NAME@INSTANCE", "%s is a template and no stream", quoted(name))
	case strings.HasSuffix(name, suffix):
		// After=cam1.stream means cam1.
		return wrong("", "the name %s ends with %s", quoted(name), suffix)
	}
	return nil
}

// checkFileName takes what a main file may be named after: a stream or a
// template.
func checkFileName(name string) *problem {
	if isTemplate(name) {
		name += "i" // the shortest instance
	}
	return checkName(name)
}

// isTemplate: the name ends in its first @.
func isTemplate(name string) bool {
	prefix, instance, ok := strings.Cut(name, "@")
	return ok && prefix != "" && instance == ""
}

// splitName cuts "cam@front" in two; without an @ all of it is the prefix.
func splitName(name string) (prefix, instance string) {
	prefix, instance, _ = strings.Cut(name, "@")
	return prefix, instance
}

// template is the name of the template that name is an instance of; "": none.
func template(name string) string {
	if prefix, instance := splitName(name); instance != "" {
		return prefix + "@"
	}
	return ""
}
