package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/credential"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// keeperUser is User= of ffkeeper.service.
const keeperUser = "ffkeeper"

// defaultStreamPath is FFKEEPER_STREAM_PATH where it is not set.
const defaultStreamPath = "/etc/ffkeeper/streams.d:/run/ffkeeper-streams.d:/usr/lib/ffkeeper/streams.d"

// loader reads stream files as the keeper does, with the same settings. What
// errors quote is redacted, although whoever runs us can read the files: what
// verify says stays in the logs of others, of a build or a deployment.
func loader() *streamfile.Loader {
	var path []string
	for _, dir := range strings.Split(envOr("FFKEEPER_STREAM_PATH", defaultStreamPath), ":") {
		if dir != "" {
			path = append(path, dir)
		}
	}
	return &streamfile.Loader{
		Path: path, FFmpeg: os.Getenv("FFKEEPER_FFMPEG"), Credential: lookForCredential, Owners: fileOwners(),
		Redact: redact.New().String,
	}
}

// fileOwners are whose files the keeper uses, beside root's: with the default
// directories those of the installed keeper's user, else our own.
func fileOwners() []uint32 {
	if os.Getenv("FFKEEPER_STREAM_PATH") != "" {
		return nil
	}
	u, err := user.Lookup(keeperUser)
	if err != nil {
		return nil
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil
	}
	return []uint32{uint32(uid)}
}

// lookForCredential says whether the keeper could take a credential. Its value
// is not for us to know, and whether systemd gives the keeper's unit one can
// only be told where that unit runs and we may look.
func lookForCredential(name string) ([]byte, error) {
	s := credential.Store{
		Systemd: "/run/credentials/ffkeeper.service",
		Path:    filepath.SplitList(envOr("FFKEEPER_CREDENTIAL_PATH", "/etc/ffkeeper/credentials")),
	}
	err := s.Look(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w (only the keeper can tell for certain)%w", err, silent{streamfile.ErrUnsure})
	}
	return []byte("known to the keeper"), err
}

// silent is an error to be found, not to be read.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// fileCompletions are the streams that there are files of.
func fileCompletions() []completion {
	set := loader().Load()
	var out []completion
	for _, name := range slices.Sorted(maps.Keys(set.Streams)) {
		c := completion{name: name}
		if d := set.Streams[name].Definition; d != nil {
			c.description = d.Description
		}
		out = append(out, c)
	}
	return out
}

// fileErrors are the errors, or with warning the warnings, of one stream's or
// of no stream's files.
func fileErrors(errs []*streamfile.Error, warning bool) []fileError {
	out := make([]fileError, len(errs))
	for i, e := range errs {
		place := *e
		place.File, place.Line, place.Stream = "", 0, ""
		out[i] = fileError{
			Name: e.Stream, File: e.File, Line: e.Line, Text: place.Error(), Warning: warning,
			whole: e.Error(),
		}
	}
	return out
}
