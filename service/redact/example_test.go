package redact_test

import (
	"fmt"

	"github.com/ffkeeper/ffkeeper/service/redact"
)

func Example() {
	r := redact.New()
	argv := []string{"ffmpeg", "-i", "rtsp://admin:hunter2@10.0.0.7:554/ch1", "-f", "flv", "rtmp://a.rtmp.example/live2/abcd-ef12-3456"}

	fmt.Println(r.Args(argv))
	fmt.Println(r.String("[error] rtmp://a.rtmp.example/live2/abcd-ef12-3456: Connection refused"))

	// Once a stream's command line is known, its secrets go also where
	// nothing tells what they are.
	r.Learn("cam1", argv, nil)
	fmt.Println(r.String("[rtmp @ 0x55d0] [error] Server error: abcd-ef12-3456 is already publishing"))
	// Output:
	// [ffmpeg -i rtsp://[redacted]@10.0.0.7:554/ch1 -f flv rtmp://a.rtmp.example/live2/[redacted]]
	// [error] rtmp://a.rtmp.example/live2/[redacted]: Connection refused
	// [rtmp @ 0x55d0] [error] Server error: [redacted] is already publishing
}
