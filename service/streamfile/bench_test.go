package streamfile

import (
	"fmt"
	"testing"
)

// What a file of a busy host looks like.
const typical = `[Stream]
Description=Camera ${NAME}
Environment=INPUT=rtsp://10.0.0.1/stream KEY=abcdef
ExecStart=ffmpeg -rtsp_transport tcp -i ${INPUT} \
    -vf "drawtext=text='%{localtime}':x=10:y=10,scale=1280:720" \
    # keyframes each two seconds
    -c:v libx264 -preset veryfast -g 50 \
    -f flv rtmp://live.example.org/app/${KEY}
RestartSec=1
TimeoutStartSec=1min
MemoryMax=1G
CPUQuota=150%
After=ingest
`

func BenchmarkLoad1000(b *testing.B) {
	files := map[string]string{"etc/ingest.stream": minimal}
	for i := range 999 {
		files[fmt.Sprintf("etc/cam%d.stream", i)] = typical
		if i%10 == 0 {
			files[fmt.Sprintf("etc/cam%d.stream.d/10.conf", i)] = "[Stream]\nNice=5\n"
		}
	}
	l := loaderFor(tree(b, files))
	l.LookPath, l.Describe = nil, traits
	l.FFmpeg = "/bin/sh"
	b.ReportAllocs()
	for b.Loop() {
		s := l.Load()
		if len(s.Streams) != 1000 || s.Streams["cam7"].Definition == nil {
			b.Fatal(texts(s.Streams["cam7"].Errors))
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	d := definition(b, typical)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(noon, nil); err != nil {
			b.Fatal(err)
		}
	}
}
