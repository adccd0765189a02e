package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// consoleTail is how much of the console is shown of a machine that failed.
const consoleTail = 8 << 10

// machine is a virtual one. Its first serial port is the console, the second
// is what the tests print, the third how they ended.
type machine struct {
	image string // a directory with vmlinuz and root.ext4
	job   string // a tar archive
	work  string // for sockets and logs
}

// run boots the machine, copies what the tests print to out, and answers their
// exit code as soon as it is known; the machine is then switched off.
func (m machine) run(ctx context.Context, out io.Writer) (code int, err error) {
	output, err := m.port("output")
	if err != nil {
		return 0, err
	}
	defer output.Close()
	result, err := m.port("result")
	if err != nil {
		return 0, err
	}
	defer result.Close()

	console := filepath.Join(m.work, "console")
	log, err := os.Create(filepath.Join(m.work, "qemu"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	qemu := exec.Command("qemu-system-x86_64", m.args(console)...)
	qemu.Stdout, qemu.Stderr = log, log
	// It ends with us however we do; the signal comes when the thread ends that
	// started it, so that must be one that stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := qemu.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- qemu.Wait() }()
	defer func() {
		qemu.Process.Kill()
		if err != nil {
			err = fmt.Errorf("%w\n%s\nThe end of its console:\n%s", err, tail(log.Name()), tail(console))
		}
	}()

	copied := make(chan error, 1)
	go func() { copied <- copyPort(out, output) }()
	answer := make(chan string, 1)
	go func() {
		if line, err := firstLine(result); err == nil {
			answer <- line
		}
	}()
	select {
	case err := <-ended:
		return 0, fmt.Errorf("the machine went off before the tests had ended: %v", err)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case line := <-answer:
		code, err := strconv.Atoi(line)
		if err != nil {
			return 0, fmt.Errorf("the machine says %q where an exit code was expected", line)
		}
		// All that was printed has left the port before that; now it ends.
		qemu.Process.Kill()
		<-ended
		<-copied
		return code, nil
	}
}

func (m machine) args(console string) []string {
	// Namespaces of one controller: those of two get their names in any order.
	disk := func(nsid, id, file string) []string {
		return []string{
			"-drive", "if=none,format=raw,snapshot=on,id=" + id + ",file=" + strings.ReplaceAll(file, ",", ",,"),
			"-device", "nvme-ns,bus=disks,drive=" + id + ",nsid=" + nsid,
		}
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
		"-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "1G",
		"-kernel", filepath.Join(m.image, "vmlinuz"),
		"-append", "console=ttyS0 root=/dev/nvme0n1 rw init=/vmtest/init panic=-1 quiet systemd.show_status=0 systemd.unit=multi-user.target",
		"-serial", "file:" + console,
		"-serial", "unix:" + filepath.Join(m.work, "output"),
		"-serial", "unix:" + filepath.Join(m.work, "result"),
		"-device", "nvme,id=disks,serial=vmtest",
	}
	args = append(args, disk("1", "root", filepath.Join(m.image, "root.ext4"))...)
	return append(args, disk("2", "job", m.job)...)
}

// accelerator is kvm where the processor has what it builds on. /dev/kvm alone
// means little: inside some virtual machines it is there, and a common kernel
// hangs on it.
func accelerator() string {
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	dev, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	dev.Close()
	if slices.ContainsFunc(strings.Fields(string(cpus)), func(flag string) bool { return flag == "vmx" || flag == "svm" }) {
		return "kvm"
	}
	return "tcg"
}

// port listens where the machine's serial port connects to.
func (m machine) port(name string) (*net.UnixListener, error) {
	return net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(m.work, name)})
}

// copyPort copies what a serial port sends until the machine ends.
func copyPort(w io.Writer, port *net.UnixListener) error {
	conn, err := port.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(w, conn)
	return err
}

// firstLine is the first line that a serial port sends.
func firstLine(port *net.UnixListener) (string, error) {
	conn, err := port.Accept()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-consoleTail):])
}
