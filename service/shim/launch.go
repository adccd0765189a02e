package shim

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Launch starts program, ffkeeper-shim, as a child of this process and connects
// to it over a socketpair. The shim stops its children and ends when this
// process closes the connection or dies. This process becomes a subreaper, so
// that what a killed shim leaves behind comes here; it is killed and reaped
// before Lost is closed. As with InProcess, children that this program starts
// with os/exec keep their status.
func Launch(program string, h Handler, opts ...Option) (client *Client, err error) {
	o := options(opts)
	sweeper, err := newSweeper()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			sweeper.stop()
		}
	}()
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(theirs), "shim's socket")
	cmd := exec.Command(program, "--fd", "3")
	if o.stopWait > 0 {
		cmd.Args = append(cmd.Args, "--stop-wait", o.stopWait.String())
	}
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	cmd.Env = o.env
	// Out of the reach of a terminal's Ctrl-C: stopping is the keeper's to say.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	file.Close()
	if err != nil {
		unix.Close(ours)
		return nil, fmt.Errorf("cannot start the shim %s: %w", program, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	c, err := newConn(ours, "shim")
	if err == nil {
		var cl *Client
		cl, err = connect(c, h, time.Now().Add(greetWait), func(cl *Client) {
			cl.after = func() error {
				// It has children to stop; but should it hang, so must not we.
				hung := time.AfterFunc(cmp.Or(o.stopWait, defaultStopWait)+2*killWait, func() { cmd.Process.Kill() })
				why := <-ended
				hung.Stop()
				sweeper.sweep(cl.holdings())
				if why == nil {
					return errors.New("the shim ended")
				}
				return fmt.Errorf("the shim ended: %w", why)
			}
		})
		if err == nil {
			return cl, nil
		}
	}
	cmd.Process.Kill()
	why := <-ended
	return nil, fmt.Errorf("cannot start the shim %s: %w (it ended: %v)", program, err, why)
}
