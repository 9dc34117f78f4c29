package testkit_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
)

func TestRedisKeepsDataOverStopOnly(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t)
	addr := s.Addr()

	s.Do("SET", "k", "kept")
	s.Stop()
	if _, err := s.Try("PING"); err == nil {
		t.Error("a stopped server answers")
	}
	s.Start()
	if got := s.Text("GET", "k"); got != "kept" {
		t.Errorf("after Stop and Start k = %q, want %q", got, "kept")
	}

	s.Do("SET", "k", "not saved")
	s.Kill()
	s.Start()
	if got := s.Text("GET", "k"); got != "kept" {
		t.Errorf("after Kill and Start k = %q, want what Stop saved, %q", got, "kept")
	}

	s.Stop()
	s.StartEmpty()
	if got := s.Int("DBSIZE"); got != 0 {
		t.Errorf("after StartEmpty there are %d keys, want none", got)
	}
	if s.Addr() != addr {
		t.Errorf("the address changed from %s to %s", addr, s.Addr())
	}
}

func TestRedisReplies(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t, testkit.WithConfig("maxmemory 64mb"))
	s.Do("RPUSH", "list", "a", "b\r\n")
	f := func(want any, args ...string) {
		t.Helper()
		if diff := cmp.Diff(want, s.Do(args...)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", args, diff)
		}
	}
	f([]any{"a", "b\r\n"}, "LRANGE", "list", "0", "-1")
	f(nil, "GET", "absent")
	f(int64(2), "LLEN", "list")
	f([]any{"maxmemory", "67108864"}, "CONFIG", "GET", "maxmemory")

	_, err := s.Try("GET", "list")
	var reply testkit.Error
	if !errors.As(err, &reply) || !strings.HasPrefix(string(reply), "WRONGTYPE") {
		t.Errorf("GET of a list: %v, want WRONGTYPE", err)
	}
}

func TestRedisPause(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t)
	c := s.AdminConn()
	s.Pause()
	if err := c.Send("PING"); err != nil {
		t.Fatalf("writing to a paused server: %v", err)
	}
	answered := make(chan any, 1)
	go func() {
		v, _ := c.Receive()
		answered <- v
	}()
	select {
	case v := <-answered:
		t.Errorf("a paused server answered %v", v)
	case <-time.After(50 * time.Millisecond):
	}
	s.Resume()
	if v := <-answered; v != "PONG" {
		t.Errorf("after Resume the answer is %v, want PONG", v)
	}
	s.Pause() // the clean-up ends a paused one too
}

func TestRedisPushesOnRESP3(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t)
	c := s.AdminConn()
	if _, ok := c.Do("HELLO", "3").(testkit.Map); !ok {
		t.Error("HELLO 3 does not answer with a map")
	}
	c.Do("CLIENT", "TRACKING", "ON")
	c.Do("GET", "k")
	s.Do("SET", "k", "1")
	got, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	want := testkit.Push{"invalidate", []any{"k"}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRedisEndsWithTheTestBinary runs this test binary again, kills it while its
// server runs, and looks whether the server is gone.
func TestRedisEndsWithTheTestBinary(t *testing.T) {
	t.Parallel()
	const report = "HEARTH_TESTKIT_REPORT"
	if path := os.Getenv(report); path != "" {
		s := testkit.Redis(t)
		if err := os.WriteFile(path+".new", []byte(s.URL()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		select {} // until killed
	}

	tmp := t.TempDir()
	path := tmp + "/url"
	child := exec.Command(os.Args[0], "-test.run=^TestRedisEndsWithTheTestBinary$")
	child.Env = append(os.Environ(), report+"="+path, "TMPDIR="+tmp)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var url []byte
	testkit.Eventually(t, 30*time.Second, "the second test binary starts its server", func() bool {
		var err error
		url, err = os.ReadFile(path)
		return err == nil
	})
	addr := strings.TrimPrefix(string(url), "redis://")
	if !testkit.Listening(addr) {
		t.Errorf("nothing listens on %s", addr)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	testkit.Eventually(t, 10*time.Second, "the orphaned server ends", func() bool {
		return !testkit.Listening(addr)
	})
}
