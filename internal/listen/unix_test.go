package listen_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hearth/internal/listen"
)

// stale leaves the file of a socket nobody answers on, as a killed process
// does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	var l net.Listener
	for _, mode := range []fs.FileMode{0o660, 0o666, 0o600} { // whatever the umask is
		var err error
		if l, err = listen.Listen("unix:"+path, "server.listen", mode); err != nil {
			t.Fatal(err)
		}
		exchange(t, l)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Mode(), fs.ModeSocket|mode; got != want {
			t.Errorf("mode = %v, want %v", got, want)
		}
		if mode != 0o600 {
			_ = l.Close()
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the file is there (%v), want it gone", err)
	}
}

func TestAbstractSocket(t *testing.T) {
	l := mustListen(t, "unix:@hearth-listen-test-"+filepath.Base(t.TempDir()))
	exchange(t, l)
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	stale(t, path)
	exchange(t, mustListen(t, "unix:"+path))
}

func TestLiveSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = listen.Listen("unix:"+path, "server.listen", 0o600)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "change server.listen or stop the other process") {
		t.Errorf("error = %v, want address in use, naming server.listen", err)
	}
	probe, err := first.Accept() // the question whether somebody answers
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	exchange(t, first)
}

func TestFilesThatAreNoSocketsAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, create func(path string) error) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := create(path); err != nil {
			t.Fatal(err)
		}
		_, err := listen.Listen("unix:"+path, "server.listen", 0o600)
		if err == nil || !strings.Contains(err.Error(), "no socket; change server.listen") {
			t.Errorf("%s: error = %v, want one that says it is no socket", name, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	f("file", func(path string) error { return os.WriteFile(path, []byte("data"), 0o600) })
	f("directory", func(path string) error { return os.Mkdir(path, 0o700) })
	f("fifo", func(path string) error { return syscall.Mkfifo(path, 0o600) })
	f("link", func(path string) error {
		stale(t, path+".target")
		return os.Symlink(path+".target", path)
	})
}

// TestOneOfManyStartersWins lets several find the same stale socket at once:
// exactly one may get it, and it must still be reachable afterwards.
func TestOneOfManyStartersWins(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s.sock")
		stale(t, path)
		const starters = 8
		results := make([]net.Listener, starters)
		var group sync.WaitGroup
		for i := range starters {
			group.Go(func() {
				l, err := listen.Listen("unix:"+path, "server.listen", 0o600)
				if err == nil {
					results[i] = l
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("error = %v, want address already in use", err)
				}
			})
		}
		group.Wait()
		winners := 0
		for _, l := range results {
			if l == nil {
				continue
			}
			winners++
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Errorf("the winner cannot be reached: %v", err)
			} else {
				conn.Close()
			}
			l.Close()
		}
		if winners != 1 {
			t.Fatalf("%d of %d starters got the socket, want 1", winners, starters)
		}
	}
}
