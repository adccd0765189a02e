package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/notify"
	"github.com/ffkeeper/ffkeeper/service/shim"
)

// shimSocket is where ffkeeper-streams.socket listens.
const shimSocket = "/run/ffkeeper-streams/control"

// connector is FFKEEPER_SHIM: who holds the streams' processes. It is asked
// again after a shim was lost.
func connector(s Settings) service.ShimConnector {
	return func(ctx context.Context, h shim.Handler) (*shim.Client, error) {
		switch s.Shim {
		case "embedded":
			// main begins with ExecHelperMain.
			return shim.InProcess(h, shim.Helper("/proc/self/exe"))
		case "auto":
			if _, err := os.Stat(shimSocket); err == nil {
				return shim.Dial(ctx, shimSocket, h)
			}
			program, err := shimProgram()
			if err != nil {
				return nil, err
			}
			return shim.Launch(program, h, shim.Environ(notify.Environ()))
		default:
			return shim.Dial(ctx, string(s.Shim), h)
		}
	}
}

// shimProgram is the ffkeeper-shim beside this program.
func shimProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find ffkeeper-shim: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "ffkeeper-shim")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("cannot find ffkeeper-shim beside %s: %w", self, err)
	}
	return program, nil
}
