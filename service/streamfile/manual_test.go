package streamfile

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const manual = "../../docs/stream-file.md"

// The tables of the manual are written from the table in the code.
func TestManualHasTheOptionsOfTheCode(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	text := replaceBetween(t, string(data), "<!-- options:", "<!-- /options -->", optionTables())
	text = replaceBetween(t, text, "<!-- hook variables -->", "<!-- /hook variables -->", hookTable())
	if *update {
		if err := os.WriteFile(manual, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(data), text); diff != "" && !*update {
		t.Errorf("the manual -, the code + (go test -run Manual -update writes it):\n%s", diff)
	}
}

// replaceBetween puts body between the line that begins with from and to.
func replaceBetween(t *testing.T, text, from, to, body string) string {
	t.Helper()
	i := strings.Index(text, from)
	j := strings.Index(text, to)
	if i < 0 || j < i {
		t.Fatalf("the manual lacks %s or %s", from, to)
	}
	i += strings.IndexByte(text[i:], '\n') + 1
	return text[:i] + body + text[j:]
}

func optionTables() string {
	var b strings.Builder
	group := ""
	for _, o := range Options() {
		if o.Group != group {
			group = o.Group
			fmt.Fprintf(&b, "\n### %s\n| option | value | default | meaning |\n|---|---|---|---|\n", group)
		}
		value := o.Value
		if o.Several {
			value += "; several"
		}
		fmt.Fprintf(&b, "| `%s=` | %s | %s | %s |\n", o.Name, value, o.Default, strings.ReplaceAll(o.Description, "|", `\|`))
	}
	return b.String() + "\n"
}

func hookTable() string {
	var b strings.Builder
	b.WriteString("| variable | |\n|---|---|\n")
	for _, v := range HookVariables() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, v.Description)
	}
	return b.String()
}

// The examples of the manual are what they are named, and without fault.
func TestExamplesOfTheManualLoad(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```ini\n# /etc/ffkeeper/streams.d/([^\n]+)\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if n := strings.Count(string(data), "```ini"); n != len(examples) || n < 4 {
		t.Errorf("%d of %d examples begin with their file name", len(examples), n)
	}
	env := filepath.Join(tree(t, map[string]string{"lobby.env": "CAMERA=rtsp://10.0.0.7/main\nTARGET=rtmp://cdn.example/app/key\n"}), "lobby.env")
	files := map[string]string{
		"etc/camera@lobby.stream": "-> camera@.stream",
		"etc/studio@lobby.stream": "-> studio@.stream",
		"etc/slate.stream":        minimal,
	}
	for _, e := range examples {
		text := strings.ReplaceAll(e[2], "/etc/ffkeeper/lobby.env", env)
		text = strings.ReplaceAll(text, "/usr/local/bin/pick-camera", "/bin/sh")
		files["etc/"+e[1]] = strings.ReplaceAll(text, "/usr/bin/logger", "/bin/sh")
	}
	s := loaderFor(tree(t, files)).Load()
	for name, e := range s.Streams {
		if e.Definition == nil || len(e.Warnings) > 0 {
			t.Errorf("%s: %s%s", name, texts(e.Errors), texts(e.Warnings))
		}
	}
	if len(s.Streams) != len(examples)+1 {
		t.Errorf("there are %d streams", len(s.Streams))
	}
}

func TestOptionsAreDescribed(t *testing.T) {
	names := make(map[string]bool)
	for _, o := range Options() {
		if names[o.Name] {
			t.Errorf("%s= is there twice", o.Name)
		}
		names[o.Name] = true
		if o.Group == "" || o.Value == "" || !strings.HasSuffix(o.Description, ".") || strings.Contains(o.Description, "\n") {
			t.Errorf("%s= is not described: %+v", o.Name, o)
		}
	}
	for key := range elsewhere {
		if key != strings.ToLower(key) || names[key] {
			t.Errorf("%q is not looked up so", key)
		}
	}
}
