package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (a *app) verifyCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "verify FILE… | --all",
		Short: "Check stream files, without a keeper",
		Long: `Check stream files as the keeper would read them, drop-ins too, and print what
is wrong with them, each with its file and line, on stderr. Exit code 1 if
something is. Warnings do not count. No keeper is needed, and none is told.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef("--all and files: give one of both")
			case !all && len(args) == 0:
				return usagef("no file named (or give --all)")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"stream"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(args) },
	}
	c.Flags().BoolVar(&all, "all", false, "all files in the directories of $FFKEEPER_STREAM_PATH")
	return c
}

// verify checks files, or with none everything there is.
func (a *app) verify(files []string) error {
	set := loader().Load()
	names := slices.Sorted(maps.Keys(set.Streams))
	found := fileErrors(set.Errors, false)
	if len(files) > 0 {
		// what a stream wants of others is checked among all there are, with
		// those given in the place of their namesakes
		found, names = nil, nil
		var entries []*streamfile.Entry
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				found = append(found, missingFile(file, err))
				continue
			}
			e := loader().LoadFile(file)
			entries = append(entries, e)
			set.Streams[e.Name] = e
		}
		set.Check()
		for _, e := range entries {
			found = append(found, entryErrors(e)...)
		}
	}
	for _, name := range names {
		found = append(found, entryErrors(set.Streams[name])...)
	}
	bad := slices.ContainsFunc(found, func(e fileError) bool { return !e.Warning })
	if a.json {
		if err := a.printJSON(orEmpty(found)); err != nil {
			return err
		}
	} else {
		for _, e := range found {
			if e.Warning {
				a.note(e.whole + " (warning)")
			} else {
				a.warn(e.whole)
			}
		}
	}
	if bad {
		return code(exitFailure)
	}
	return nil
}

// missingFile is the error of a file that is not there at all.
func missingFile(file string, err error) fileError {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fileError{File: file, Text: err.Error(), whole: file + ": " + err.Error()}
}

func entryErrors(e *streamfile.Entry) []fileError {
	return append(fileErrors(e.Errors, false), fileErrors(e.Warnings, true)...)
}
