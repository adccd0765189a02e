package main

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (a *app) catCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cat NAME…",
		Short: "Print the files of streams",
		Long: `Print the files of streams, drop-ins too, each under a line with its name. The
files are read here, with your rights, and shown as they are: what is secret in
them is shown to those who may read them.`,
		Args:              needNames,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			return fail(a.cat(cmd.Context(), args))
		},
	}
}

func (a *app) cat(ctx context.Context, args []string) error {
	set := loader().Load()
	names, unknown := expand(args, slices.Sorted(maps.Keys(set.Streams)))
	exit := exitOK
	for _, u := range unknown {
		e := a.entryOfKeeper(ctx, u.arg)
		if e == nil {
			a.warn("ffkeeperctl: cat " + u.text())
			exit = exitNoSuch
			continue
		}
		set.Streams[e.Name] = e
		names = append(names, e.Name)
	}
	files := []catFile{}
	for _, name := range names {
		e := set.Streams[name]
		if e.Masked {
			a.note("# " + name + " is masked.")
			continue
		}
		if len(e.Files) == 0 {
			for _, bad := range e.Errors {
				a.complain(textError("cat " + name + ": " + bad.Error()))
			}
			exit = exitFailure
		}
		for _, file := range e.Files {
			content, err := os.ReadFile(file)
			if err != nil {
				a.complain(textError("cat " + name + ": " + err.Error()))
				exit = exitFailure
				continue
			}
			files = append(files, catFile{name, file, string(content)})
		}
	}
	if err := a.printFiles(files); err != nil {
		return err
	}
	return code(exit)
}

// entryOfKeeper asks the keeper for a stream that is not in our directories:
// it may read others. nil: it does not know it either.
func (a *app) entryOfKeeper(ctx context.Context, name string) *streamfile.Entry {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	k, err := a.connect(ctx)
	if err != nil {
		return nil
	}
	defer k.close()
	file, err := k.sourceFile(ctx, name)
	if err != nil || file == "" {
		return nil
	}
	return loader().LoadFile(file)
}

// printFiles prints files as systemctl cat does. A terminal gets no control
// characters of them; anything else gets the bytes.
func (a *app) printFiles(files []catFile) error {
	if a.json {
		return a.printJSON(files)
	}
	_, terminal := terminalOf(a.out)
	for i, f := range files {
		if i > 0 {
			if err := a.print(nil); err != nil {
				return err
			}
		}
		p := a.printer()
		p.width = 0
		if err := p.print(styled(blue, "# "+f.File)); err != nil {
			return fail(err)
		}
		content := f.Text
		if terminal {
			content = cleanText(content)
		}
		if content != "" && content[len(content)-1] != '\n' {
			content += "\n"
		}
		if _, err := io.WriteString(a.out, content); err != nil {
			return fail(err)
		}
	}
	return nil
}
