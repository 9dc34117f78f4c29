package journal_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hearth/internal/journal"
)

func TestLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(journal.NewHandler(&out, slog.LevelDebug))
	log.Debug("d")
	log.Info("i", "n", 1)
	log.Warn("w", "text", "a b")
	log.Error("e", "error", errors.New("x"))
	log.Log(t.Context(), slog.LevelError+4, "worse")
	log.Log(t.Context(), slog.LevelInfo+1, "between")
	log.With("a", 1).WithGroup("g").With("b", 2).Info("grouped", "c", 3)
	log.Info("forged\n<0>panic", "path", "/a\n<0>level=ERROR", "\x1b[2J\nk", "v")
	const want = `<7>level=DEBUG msg=d
<6>level=INFO msg=i n=1
<4>level=WARN msg=w text="a b"
<3>level=ERROR msg=e error=x
<3>level=ERROR+4 msg=worse
<6>level=INFO+1 msg=between
<6>level=INFO msg=grouped a=1 g.b=2 g.c=3
<6>level=INFO msg="forged\n<0>panic" path="/a\n<0>level=ERROR" "\x1b[2J\nk"=v
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLevelMayChange(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := slog.New(journal.NewHandler(&out, &level))
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.With("a", 1).Debug("shown")
	level.Set(slog.LevelError)
	log.Warn("hidden")
	if got := out.String(); got != "<7>level=DEBUG msg=shown a=1\n" {
		t.Errorf("got %q", got)
	}
}

// oneWrite fails the test when a Write is not one whole line.
type oneWrite struct {
	t     *testing.T
	lines int
}

func (w *oneWrite) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, []byte("<6>level=INFO msg=")) || bytes.Count(p, []byte("\n")) != 1 || p[len(p)-1] != '\n' {
		w.t.Errorf("one Write got %q", p)
	}
	w.lines++
	return len(p), nil
}

func TestLinesOfManyDoNotMix(t *testing.T) {
	out := &oneWrite{t: t}
	log := slog.New(journal.NewHandler(out, slog.LevelInfo))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			mine := log.With("writer", i)
			for range 100 {
				mine.Info(strings.Repeat("x", i*10))
			}
		})
	}
	all.Wait()
	if out.lines != 800 {
		t.Errorf("%d lines, want 800", out.lines)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestWriteFails(t *testing.T) {
	h := journal.NewHandler(brokenWriter{}, slog.LevelInfo)
	if err := h.Handle(t.Context(), slog.Record{Message: "m"}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
}

func TestAttached(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	f := func(env string, f *os.File, want bool) {
		t.Helper()
		t.Setenv("JOURNAL_STREAM", env)
		if got := journal.Attached(f); got != want {
			t.Errorf("JOURNAL_STREAM=%q: got %v", env, got)
		}
	}
	f(stream, file, true)
	f(stream, write, false) // redirected since
	f(stream, nil, false)
	f("", file, false)
	f(stream+"0", file, false)
	f("0"+stream, file, false)
	f(":", file, false)
	f(strings.Split(stream, ":")[0], file, false)
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	f(stream, closed, false)
}

func ExampleNewHandler() {
	out := bufio.NewWriter(os.Stdout)
	log := slog.New(journal.NewHandler(out, slog.LevelInfo))
	log.Error("redis cannot be asked", "error", "connection refused")
	_ = out.Flush()
	// Output: <3>level=ERROR msg="redis cannot be asked" error="connection refused"
}
