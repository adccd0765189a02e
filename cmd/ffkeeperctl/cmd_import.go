package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ffkeeper/ffkeeper/cmd/ffkeeperctl/importer"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// imported is a line of what import has to say: a stream file, or a remark.
type imported struct {
	Stream  string `json:"stream,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`

	whole string // as for people; a stream's goes to stdout
}

func (a *app) importCommand() *cobra.Command {
	var output string
	var force bool
	kinds := []string{"supervisord", "systemd"}
	c := &cobra.Command{
		Use:   "import supervisord|systemd FILE…",
		Short: "Make stream files of supervisord's programs or systemd's services",
		Long: `Make stream files of the [program:x] sections in supervisord's configuration, or
of service units of systemd: NAME.service, a template NAME@.service with the
instances that are enabled, or NAME@INSTANCE.service. Included files and
drop-ins are read, too.

Without --output nothing is written. What has no counterpart is said on stderr
by file, line and name, never with a value, as that may be secret. Exit code 1
if a stream could not be made, or if verify would complain of one.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || !slices.Contains(kinds, args[0]):
				return usagef("import: whose files? One of %s", strings.Join(kinds, ", "))
			case len(args) == 1:
				return usagef("import %s: no file named", args[0])
			case force && output == "":
				return usagef("--force is of use with --output only")
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return kinds, cobra.ShellCompDirectiveNoFileComp
			case args[0] == "systemd":
				return []string{"service"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return []string{"conf", "ini"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return fail(a.importFiles(args[0], args[1:], output, force))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "directory to write the stream files to, such as /etc/ffkeeper/streams.d")
	c.Flags().BoolVar(&force, "force", false, "overwrite stream files that are there")
	_ = c.MarkFlagDirname("output")
	return c
}

func (a *app) importFiles(kind string, files []string, output string, force bool) error {
	host, _ := os.Hostname()
	im := &importer.Importer{Environ: os.Environ(), Hostname: host, FFmpeg: os.Getenv("FFKEEPER_FFMPEG")}
	var r *importer.Result
	if kind == "systemd" {
		r = im.Systemd(files)
	} else {
		r = im.Supervisord(files)
	}
	if output != "" {
		if info, err := os.Stat(output); err != nil {
			return fmt.Errorf("import: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("import: %s is no directory", output)
		}
	}
	var said []imported
	for _, m := range r.Remarks {
		said = append(said, imported{File: m.File, Line: m.Line, Key: m.Key, Text: m.Text, Warning: !m.Failed, whole: m.String()})
	}
	found, err := verifyImported(r.Streams, output)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	for _, e := range found {
		said = append(said, imported{Stream: e.Name, File: e.File, Line: e.Line, Text: e.Text, Warning: e.Warning, whole: e.whole})
	}
	for _, s := range r.Streams {
		said = append(said, writeImported(s, output, force))
	}
	if len(r.Streams) == 0 && !slices.ContainsFunc(said, func(i imported) bool { return !i.Warning }) {
		return errors.New("import: there is nothing in it that could be a stream")
	}
	return a.tellImported(said)
}

// tellImported prints what there is to say; what went well goes to stdout.
func (a *app) tellImported(said []imported) error {
	failed := slices.ContainsFunc(said, func(i imported) bool { return i.bad() })
	if a.json {
		if err := a.printJSON(said); err != nil {
			return err
		}
	} else {
		for _, i := range said {
			switch {
			case i.bad():
				a.warn(i.whole)
			case i.Warning:
				a.note(i.whole + " (note)")
			case !a.quiet:
				if err := a.print(text(i.whole)); err != nil {
					return err
				}
			}
		}
	}
	if failed {
		return code(exitFailure)
	}
	return nil
}

// What writeImported says when all went well.
const (
	importedDry   = "would be written; name a directory by --output"
	importedNow   = "written"
	importedThere = "is there already, just like this"
)

func (i imported) bad() bool {
	return !i.Warning && !slices.Contains([]string{importedDry, importedNow, importedThere}, i.Text)
}

// verifyImported answers what verify would say of the files, which stand in a
// directory of their own for that, as if they were in output.
func verifyImported(streams []importer.Stream, output string) ([]fileError, error) {
	dir, err := os.MkdirTemp("", "ffkeeperctl-import-") // 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, s := range streams {
		if err := putImported(s, filepath.Join(dir, s.FileName())); err != nil {
			return nil, err
		}
	}
	l := loader()
	l.Path = append([]string{dir}, l.Path...)
	l.Owners = nil
	set := &streamfile.Set{Streams: map[string]*streamfile.Entry{}}
	var found []fileError
	for _, s := range streams {
		e := l.LoadFile(filepath.Join(dir, s.FileName()))
		set.Streams[e.Name] = e
	}
	set.Check()
	for _, s := range streams {
		e := set.Streams[s.Name]
		if e == nil {
			continue
		}
		for _, f := range entryErrors(e) {
			if name, ok := strings.CutPrefix(f.File, dir+"/"); ok {
				f.whole = strings.ReplaceAll(f.whole, dir+"/", strings.TrimSuffix(output, "/")+"/")
				f.File = filepath.Join(output, name)
				if output == "" {
					f.whole = strings.ReplaceAll(f.whole, "/"+name, name)
				}
			}
			found = append(found, f)
		}
	}
	return found, nil
}

// writeImported puts a stream file in its place, and answers how that went.
func writeImported(s importer.Stream, output string, force bool) imported {
	path := filepath.Join(output, s.FileName())
	say := func(text string) imported {
		return imported{Stream: s.Name, File: path, Text: text, whole: path + ": " + text}
	}
	if output == "" {
		return say(importedDry)
	}
	if isImported(s, path) {
		return say(importedThere)
	}
	draft := filepath.Join(output, "."+s.FileName()+".import")
	_ = os.Remove(draft) // of an import that was killed
	err := putImported(s, draft)
	if err == nil {
		defer os.Remove(draft)
		if force {
			err = os.Rename(draft, path)
		} else {
			err = os.Link(draft, path) // which overwrites nothing
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return say("there is such a file already; --force overwrites it")
	}
	if err != nil {
		return say("cannot be written: " + reasonOf(err))
	}
	return say(importedNow)
}

// reasonOf is an error without the paths of our own making.
func reasonOf(err error) string {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err.Error()
	case errors.As(err, &l):
		return l.Err.Error()
	}
	return err.Error()
}

func isImported(s importer.Stream, path string) bool {
	if s.LinkTo != "" {
		target, err := os.Readlink(path)
		return err == nil && target == s.LinkTo
	}
	there, err := os.ReadFile(path)
	return err == nil && string(there) == s.Text
}

// putImported writes a stream file anew. One with what may be a secret is for
// the keeper's group at most.
func putImported(s importer.Stream, path string) error {
	if s.LinkTo != "" {
		return os.Symlink(s.LinkTo, path)
	}
	mode := fs.FileMode(0o644)
	if s.Private {
		mode = 0o640
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Text)
	if err == nil && s.Private && os.Geteuid() == 0 {
		if g, lookup := user.LookupGroup(keeperUser); lookup == nil {
			gid, _ := strconv.Atoi(g.Gid)
			err = f.Chown(0, gid)
		}
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}
