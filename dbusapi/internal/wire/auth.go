package wire

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// authenticate speaks the SASL profile of the D-Bus specification: EXTERNAL,
// that is, the kernel vouches for the uid. All three commands go in one write,
// as sd-bus does it, so that a bus costs one round trip.
func (c *Conn) authenticate(ctx context.Context) error {
	// A deadline in the past ends a read that waits for a bus which hangs.
	stop := context.AfterFunc(ctx, func() { c.sock.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	uid := strconv.Itoa(os.Geteuid())
	hello := "\x00AUTH EXTERNAL " + hex.EncodeToString([]byte(uid)) + "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
	if _, err := c.sock.Write([]byte(hello)); err != nil {
		return explain(ctx, err)
	}
	line, err := readLine(c.in)
	if err != nil {
		return explain(ctx, err)
	}
	if !strings.HasPrefix(line, "OK ") {
		return fmt.Errorf("the bus does not let uid %s in (%s)", uid, line)
	}
	line, err = readLine(c.in)
	if err != nil {
		return explain(ctx, err)
	}
	if line != "AGREE_UNIX_FD" {
		return fmt.Errorf("the bus does not pass descriptors (%s)", line)
	}
	if !stop() {
		return ctx.Err()
	}
	return nil
}

func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the bus does not answer: %w", ctx.Err())
	}
	return err
}

// readLine reads one line of the authentication, which has no business being
// longer than the buffer.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errors.New("not a message bus: an endless line")
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}
