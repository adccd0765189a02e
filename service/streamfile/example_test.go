package streamfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// A program without files makes its definitions itself.
func ExampleNew() {
	d := streamfile.New("tone", []string{"sh", "-c", "ffmpeg -f lavfi -i sine -f null -"})
	d.RestartSec = 500 * time.Millisecond
	d.StandardOutput = "jurnal"
	for _, err := range d.Validate() {
		fmt.Println(err)
	}
	// Output:
	// tone: StandardOutput=: "jurnal" is not a possible value; did you mean journal?
}

// Checking one file, as ffkeeperctl verify does.
func ExampleLoader_LoadFile() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	text := "[Stream]\nExecStart=sh -c ${COMAND}\nEnvironment=COMMAND=true\nRestartSecs=2\n"
	if err := os.WriteFile(filepath.Join(dir, "tone.stream"), []byte(text), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	var l streamfile.Loader
	for _, err := range l.LoadFile(filepath.Join(dir, "tone.stream")).Errors {
		err.File = filepath.Base(err.File)
		fmt.Println(err)
	}
	// Output:
	// tone.stream:2: ExecStart=: there is no variable COMAND; did you mean COMMAND?
	// tone.stream:4: there is no option "RestartSecs"; did you mean RestartSec=?
}
