package ffmpeg

import (
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg/internal/cmdline"
)

// OutputFiles are the local files that the outputs of an ffmpeg command line
// are, as it names them: the parts of tee too, and HLS's segments where they
// have a name of their own. They may be patterns (%05d), relative, and not there yet.
func OutputFiles(argv []string) []string {
	var files []string
	add := func(url, format string) {
		if path, ok := localPath(url); ok && !writesNoBytes(format) && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	format := ""
	for _, item := range cmdline.Split(argv[min(1, len(argv)):]) {
		switch item.Kind {
		case cmdline.Option:
			switch item.Name {
			case "f":
				format = item.Value
			case "hls_segment_filename":
				add(item.Value, "")
			}
			continue
		case cmdline.Output:
			parts, tee := strings.CutPrefix(item.Value, "tee:")
			if format == "tee" || tee {
				eachOfTee(parts, func(url, format, _ string) { add(url, format) })
			} else if item.Value != "-" {
				add(item.Value, format)
			}
		}
		format = ""
	}
	return files
}

// localPath is the path in a URL that ffmpeg takes for a file's: one without a
// protocol, which is what stands before the first colon in front of any slash.
// Devices are no files.
func localPath(url string) (path string, ok bool) {
	url, _ = unwrap(url)
	path, named := strings.CutPrefix(url, "file:")
	if before, _, found := strings.Cut(path, ":"); found && !named && !strings.Contains(before, "/") {
		return "", false
	}
	device := strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/")
	return path, path != "" && !device && !strings.HasPrefix(path, "/proc/")
}
