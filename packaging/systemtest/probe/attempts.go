package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts by name. Each takes one word and leaves nothing behind.
var attempts = map[string]func(string) error{
	"write":   write,
	"read":    read,
	"see":     see,
	"signal":  signal,
	"environ": environ,
	"trace":   trace,
	"connect": connect,
	"socket":  socket,
	"kernel":  kernel,
	"bus":     bus,
}

// write makes a file in a directory, or opens a file for writing.
func write(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if strings.HasPrefix(path, "/sys/fs/cgroup") {
			dir := filepath.Join(path, "probe")
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			return os.Remove(dir)
		}
		f, err := os.CreateTemp(path, "probe")
		if err != nil {
			return err
		}
		f.Close()
		return os.Remove(f.Name())
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func read(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		_, err := os.ReadDir(path)
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 1))
	return err
}

func see(pid string) error {
	_, err := os.ReadFile("/proc/" + pid + "/stat")
	return err
}

// signal asks only whether it might: signal 0.
func signal(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return unix.Kill(n, 0)
}

// environ reads what may hold secrets.
func environ(pid string) error {
	_, err := os.ReadFile("/proc/" + pid + "/environ")
	return err
}

// trace opens a process's memory for writing, which takes the same right as
// ptrace(2) but not the system call.
func trace(pid string) error {
	f, err := os.OpenFile("/proc/"+pid+"/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// socket makes one of a family, or, "loopback", reaches a port of the host.
func socket(what string) error {
	families := map[string]int{"inet": unix.AF_INET, "inet6": unix.AF_INET6, "packet": unix.AF_PACKET, "netlink": unix.AF_NETLINK}
	if address, ok := strings.CutPrefix(what, "tcp:"); ok {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	family, ok := families[what]
	if !ok {
		return fmt.Errorf("no family %s", what)
	}
	kind := unix.SOCK_DGRAM
	if family == unix.AF_PACKET {
		kind = unix.SOCK_RAW
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// kernel tries what widens the ground for an attack on it.
func kernel(what string) error {
	switch what {
	case "unshare":
		// In a process of its own, for nobody wants to live in there.
		return exec.Command("unshare", "--user", "true").Run()
	case "clone3":
		// Of a size that is none the kernel makes no child, but says EINVAL;
		// a filter, which cannot see the flags, says something else.
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, 0, 1, 0)
		if errno == unix.EINVAL {
			return nil
		}
		return errno
	case "ptrace":
		if _, _, errno := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_PEEKTEXT, 1, 0); errno == unix.EPERM {
			return errno
		}
		return nil // ESRCH: it is there
	case "io_uring":
		var params [120]byte
		fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
		if errno != 0 {
			return errno
		}
		return unix.Close(int(fd))
	case "bpf":
		var attr [72]byte
		_, _, errno := unix.RawSyscall(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), 72)
		if errno == unix.EPERM {
			return errno
		}
		return nil
	case "wx":
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		return unix.Munmap(m)
	case "setuid-program":
		if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v == 1 {
			return errors.New("no new privileges")
		}
		return nil
	case "capability":
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			if (name == "CapBnd" || name == "CapPrm" || name == "CapAmb") && strings.Trim(strings.TrimSpace(value), "0") != "" {
				return nil
			}
		}
		return errors.New("none, and none to be had")
	case "device":
		for _, dev := range []string{"/dev/kmsg", "/dev/mem", "/dev/dri", "/dev/video0", "/dev/snd", "/dev/fuse", "/dev/net/tun"} {
			if _, err := os.Stat(dev); err == nil {
				return nil
			}
		}
		return errors.New("only null, zero, random, tty and the like")
	}
	return fmt.Errorf("no attempt %s", what)
}
