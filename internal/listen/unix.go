package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// maxSocketPath is sun_path of the kernel's sockaddr_un less its NUL.
	maxSocketPath = 107
	// probeTimeout bounds how long a process behind an existing socket may
	// take to accept before it counts as alive but busy.
	probeTimeout = time.Second
	// lockTimeout bounds the wait for another process that is opening a
	// socket in the same directory.
	lockTimeout = 5 * time.Second
	lockPause   = 5 * time.Millisecond
)

func listenUnix(ctx context.Context, path, addr, key string, mode fs.FileMode) (net.Listener, error) {
	switch {
	case path == "":
		return nil, fmt.Errorf("listening on %q: no path; set %s to \"unix:/path\"", addr, key)
	case len(path) > maxSocketPath:
		return nil, fmt.Errorf("listening on %q: the path has %d bytes, the system takes %d; change %s", addr, len(path), maxSocketPath, key)
	case strings.HasPrefix(path, "@"):
		return bindUnix(ctx, path, addr, key, mode)
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, explain(addr, key, err)
	}
	defer unlock()
	if err := clearStale(path, addr, key); err != nil {
		return nil, err
	}
	l, err := bindUnix(ctx, path, addr, key, mode)
	if err != nil {
		return nil, err
	}
	// The umask may have taken bits away; it cannot have added any.
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %q: setting the mode: %w", addr, err), l.Close())
	}
	return l, nil
}

// bindUnix gives the socket its mode before it has a name, so that others can never
// connect.
func bindUnix(ctx context.Context, path, addr, key string, mode fs.FileMode) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var chmod error
		if err := conn.Control(func(fd uintptr) { chmod = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); err != nil {
			return err
		}
		return chmod
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, explain(addr, key, err)
	}
	return l, nil
}

// clearStale removes a socket file that nothing answers on. Whatever is in
// doubt stays: a file that is no socket, a socket of a process too busy to
// accept, one that may not be connected to.
func clearStale(path, addr, key string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(addr, key, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listening on %q: there is a file that is no socket; change %s or remove it", addr, key)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		return errors.Join(explain(addr, key, syscall.EADDRINUSE), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listening on %q: a socket is there and cannot be asked whether it is in use: %w; change %s or remove it", addr, err, key)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("listening on %q: removing the socket of a process that is gone: %w", addr, err)
	}
	return nil
}

// lockDirectory makes finding, removing and binding one step among processes
// of this program. Without it two that start together both find the old socket
// dead, and the slower one removes what the faster one has just bound. The
// directory itself is locked, so no lock file stays behind.
func lockDirectory(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(lockPause) {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = d.Close() }, nil // closing releases the lock
		}
		held := errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR)
		if !held || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("locking directory %q: %w", dir, err), d.Close())
		}
	}
}
