// Package testkit starts the real programs that Hearth's tests, proofs and benchmarks
// talk to: redis-server, PostgreSQL and MariaDB with their standbys, PgBouncer, HAProxy
// and nginx, and a scripted stand-in for Redis that answers in exactly the order a test
// dictates.
//
// It uses real servers because what Hearth relies on is what fakes leave out:
// the order of invalidations and replies, the moment a process stops answering,
// what a database does with a half-finished transaction. Every program is a
// child of the test binary, listens on loopback or on a socket in a directory of
// its own, and ends with the test, also when the test binary is killed. A command
// that is no test gets the same by Run. A missing program fails the test and names the
// Debian package: a skipped test would look like a passed one.
//
// Only tests, proofs and benchmarks import this package. It runs on Linux.
package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const (
	// pollEvery is the pause between two looks at a condition: short beside
	// what is waited for, long beside the cost of looking.
	pollEvery = 2 * time.Millisecond
	// startWithin is how long a server may take to answer. It is generous since
	// a loaded machine is no fault of the code under test.
	startWithin = 30 * time.Second
	// stopWithin is how long a server may take to end after it was asked to.
	stopWithin = 30 * time.Second
)

// Long reports whether the long forms of tests are asked for (HEARTH_LONG=1, as
// `make prove` sets it). Tests use it to choose how much to do, never whether
// to run.
func Long() bool { return os.Getenv("HEARTH_LONG") == "1" }

// Eventually polls cond until it is true, and ends the test with what when it is
// still false after d. It must be called from the test's own goroutine.
func Eventually(tb TB, d time.Duration, what string, cond func() bool) {
	tb.Helper()
	if !poll(d, cond) {
		tb.Fatalf("waiting %v in vain: %s", d, what)
	}
}

// poll calls cond until it is true or d is over; cond is called at least once,
// and once more after the last pause, so that a slow machine gets its full wait.
func poll(d time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(d)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// Sleep waits for d; false: ctx has ended before.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Find returns the path of the first of the binaries that is installed, looking
// in PATH, the sbin directories and the given patterns (as in filepath.Glob; the
// last match, thus the newest version, counts). The error for none names the Debian
// package to install.
func Find(debianPackage string, binaries []string, patterns ...string) (string, error) {
	for _, name := range binaries {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		all := append([]string{"/usr/sbin/" + name, "/usr/local/sbin/" + name}, patterns...)
		for _, pattern := range all {
			found, _ := filepath.Glob(pattern)
			if len(found) > 0 {
				return slices.Max(found), nil
			}
		}
	}
	return "", fmt.Errorf("looking for %q: not installed; run scripts/install-test-servers, or apt-get install %s", binaries, debianPackage)
}

// Need is Find that ends the test when there is none.
func Need(tb TB, debianPackage string, binaries []string, patterns ...string) string {
	tb.Helper()
	path, err := Find(debianPackage, binaries, patterns...)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// NeedRedis returns the path of redis-server.
func NeedRedis(tb TB) string {
	tb.Helper()
	return Need(tb, "redis-server", []string{"redis-server"})
}

// NeedValkey returns the path of valkey-server, which Debian 12 has among its backports.
func NeedValkey(tb TB) string {
	tb.Helper()
	return Need(tb, "valkey-server", []string{"valkey-server"})
}

// NeedPostgres returns the path of the PostgreSQL program called name, such as
// "initdb", which Debian keeps out of PATH.
func NeedPostgres(tb TB, name string) string {
	tb.Helper()
	return Need(tb, "postgresql", []string{name}, "/usr/lib/postgresql/*/bin/"+name)
}

// NeedMariaDB returns the path of the MariaDB program called name, such as
// "mariadb-install-db".
func NeedMariaDB(tb TB, name string) string {
	tb.Helper()
	return Need(tb, "mariadb-server", []string{name})
}

// NeedHAProxy returns the path of haproxy.
func NeedHAProxy(tb TB) string {
	tb.Helper()
	return Need(tb, "haproxy", []string{"haproxy"})
}

// NeedNginx returns the path of nginx.
func NeedNginx(tb TB) string {
	tb.Helper()
	return Need(tb, "nginx-light", []string{"nginx"})
}
