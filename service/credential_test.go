package service_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/credential"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// credentials gives a keeper these.
func credentials(t *testing.T, values map[string]string) (dir string, option func(*service.Options)) {
	t.Helper()
	dir = t.TempDir()
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func(o *service.Options) { o.Credentials = credential.Store{Path: []string{dir}} }
}

// hidden fails the test where a secret is in what the keeper shows or logs.
func (k *keeper) hidden(name, secret string) {
	k.t.Helper()
	for what, text := range map[string]string{"the snapshot": fmt.Sprintf("%+v", k.snap(name)), "the log": k.log.String()} {
		if strings.Contains(text, secret) {
			k.t.Errorf("%s is in %s:\n%s", secret, what, text)
		}
	}
}

// What a command is given it finds there, once; and though it tells everybody,
// nobody hears.
func TestCommandsGetCredentialsAndTheirTalkOfThemIsRedacted(t *testing.T) {
	_, option := credentials(t, map[string]string{"file": "s3cret-one\ns3cret-two\n", "word": "s3cret-env\n"})
	k := newKeeper(t, map[string]string{"s": `Type=simple
Restart=no
EnvironmentCredential=TOKEN=word
OutputPreset=live rtmp_playpath=${CREDENTIAL:word}?x rtmp_live=live
ExecStart=sh -c 'cat $$1; cat $$1; cat <&5; echo "$TOKEN"; tr "\\0" " " </proc/$$$$/cmdline' sh ${PRESET_live} ${CREDENTIAL_FD:file}
OnRestart=true`}, option)
	k.start("s")
	s := k.until("s", "its end", func(s *stream.Snapshot) bool { return s.State == stream.StateStopped })
	var lines []string
	for _, l := range s.Lines {
		lines = append(lines, l.Text)
	}
	// The second cat finds nothing.
	got := strings.Join(lines, "\n")
	want := "rtmp_playpath=[redacted]\nrtmp_live=live\n[redacted]\n[redacted]\n[redacted]\nsh -c cat $1; cat $1; cat <&5; echo \"$TOKEN\""
	if !strings.HasPrefix(got, want) || !strings.Contains(got, " sh /dev/fd/4 5") {
		t.Errorf("it said\n%s\nwant\n%s...", got, want)
	}
	k.hidden("s", "s3cret")
}

func TestBuildersAndHooksGetCredentials(t *testing.T) {
	_, option := credentials(t, map[string]string{"key": "s3cret-key\n"})
	k := newKeeper(t, map[string]string{"s": `Type=simple
Restart=no
EnvironmentCredential=TOKEN=key
CommandBuilder=sh -c 'cat <&4 >@WORK@/builder; echo "[\\\"sh\\\", \\\"-c\\\", \\\"echo \\$$TOKEN >@WORK@/stream; exit 1\\\"]"' sh ${CREDENTIAL_FD:key}
OnFailure=sh -c 'cat <&4 >@WORK@/hook.new; mv @WORK@/hook.new @WORK@/hook' sh ${CREDENTIAL_FD:key}`}, option)
	k.start("s")
	k.until("s", "the hook", func(*stream.Snapshot) bool { _, err := os.Stat(k.path("hook")); return err == nil })
	for _, name := range []string{"builder", "stream", "hook"} {
		if b, err := os.ReadFile(k.path(name)); err != nil || string(b) != "s3cret-key\n" {
			t.Errorf("%s got %q, %v", name, b, err)
		}
	}
	k.hidden("s", "s3cret")
}

func TestCredentialIsReadAnewAndFailsTheStartByName(t *testing.T) {
	dir, option := credentials(t, map[string]string{"key": "s3cret-1"})
	k := newKeeper(t, map[string]string{"s": "Type=simple\nOutputPreset=p x=${CREDENTIAL:key}\nExecStart=sh -c 'cat /dev/fd/4 >>@WORK@/got; exec sleep 1000' ${PRESET_p}"}, option)
	next := func(mode os.FileMode, value string) {
		t.Helper()
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
	}
	k.start("s")
	k.until("s", "the first", func(*stream.Snapshot) bool { b, _ := os.ReadFile(k.path("got")); return string(b) == "x=s3cret-1\n" })
	next(0o600, "s3cret-2")
	if _, err := k.Restart(k.ctx(), "s", service.CallOptions{}); err != nil {
		t.Fatal(err)
	}
	k.until("s", "the second", func(*stream.Snapshot) bool {
		b, _ := os.ReadFile(k.path("got"))
		return string(b) == "x=s3cret-1\nx=s3cret-2\n"
	})
	for _, bad := range []struct {
		mode  os.FileMode
		value string
		want  string
	}{{0o644, "s3cret-3", "mode 0644"}, {0o600, "abc", "shorter than 4 bytes"}} {
		next(bad.mode, bad.value)
		k.Restart(k.ctx(), "s", service.CallOptions{})
		s := k.untilState("s", stream.StateFailed)
		if s.Reason != stream.ReasonBadSetting || !strings.Contains(s.Detail, "s.stream:3: OutputPreset=: cannot read the credential key, as ") || !strings.Contains(s.Detail, bad.want) {
			t.Errorf("%s: %s", s.Reason, s.Detail)
		}
	}
	k.hidden("s", "s3cret")
}

// The servers here tell what they have been sent: that a preset reaches HTTP
// and Icecast as the manual says.
func TestPresetsReachProtocolsAndNotTheLog(t *testing.T) {
	ffmpegtest.Real(t)
	_, option := credentials(t, map[string]string{"p": "s3cret-source\n", "t": "s3cret-bearer\n"})
	for name, c := range map[string]struct{ preset, output, want string }{
		"icecast": {"password=${CREDENTIAL:p}", "icecast://source@ADDRESS/m", "Basic " + base64.StdEncoding.EncodeToString([]byte("source:s3cret-source"))},
		"http":    {`"headers=Authorization: Bearer ${CREDENTIAL:t}"`, "http://ADDRESS/m", "Authorization: Bearer s3cret-bearer\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			got := make(chan string, 1)
			go func() {
				conn, err := server.Accept()
				if err != nil {
					got <- err.Error()
					return
				}
				defer conn.Close()
				var head strings.Builder
				for r := bufio.NewReader(conn); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
					line, err := r.ReadString('\n')
					if head.WriteString(line); err != nil {
						break
					}
				}
				got <- head.String()
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				io.Copy(io.Discard, conn)
			}()
			k := newKeeper(t, map[string]string{"s": "Restart=no\nOutputPreset=x " + c.preset + "\n" +
				"ExecStart=ffmpeg -loglevel repeat+level+debug -re -f lavfi -i sine -c:a libmp3lame -fpre ${PRESET_x} -f mp3 " +
				strings.Replace(c.output, "ADDRESS", server.Addr().String(), 1)}, option)
			k.startOK("s")
			if head := <-got; !strings.Contains(head, c.want) {
				t.Errorf("got\n%s\nwant %s", head, c.want)
			}
			k.hidden("s", "s3cret")
			k.hidden("s", strings.TrimSpace(strings.TrimPrefix(c.want, "Basic ")))
			// ffmpeg tells of each option it reads at this log level.
			if !strings.Contains(k.log.String(), "[redacted]") {
				t.Error("nothing was redacted: has anything been shown?")
			}
		})
	}
}
