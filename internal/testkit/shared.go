package testkit

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sharedServer is a server that the tests of one binary share. It has to outlive
// every single test, so it is the one kind of thing here that a test does not
// own. Nobody may forget it: its fields keep files open.
type sharedServer struct {
	name string
	dir  string
	port int
	lock *os.File // reservation of its port
	life *os.File // see minder
}

// minder runs a shared server. No test's clean-up may end it and nothing runs
// after the last test, so it waits for the end of its standard input, which comes
// when the test binary ends in whatever way, then stops the server and removes
// its directory.
const minder = `
dir=$1 signal=$2
shift 2
"$@" </dev/null &
read -r _
kill -"$signal" $!
wait $!
cd / && rm -rf "$dir"
`

// inMemory is a file system in memory that has room for databases, "" if there is none. They make
// and remove so many files that on a disk a quarter of the tests' processor time is spent on those.
func inMemory() string {
	const dir, room = "/dev/shm", 4 << 30
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC || int64(fs.Bavail)*fs.Bsize < room {
		return ""
	}
	return dir
}

// newSharedServer reserves what a server needs.
func newSharedServer(tb TB, name string) *sharedServer {
	tb.Helper()
	port, lock, err := reservePort()
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := os.MkdirTemp(inMemory(), "hearth-"+name+"-")
	if err != nil {
		tb.Fatalf("making a directory for %s: %v", name, err)
	}
	return &sharedServer{name: name, dir: dir, port: port, lock: lock}
}

// start runs the program, which signal ends, and waits until it is ready.
func (s *sharedServer) start(tb TB, credential *syscall.Credential, signal syscall.Signal, ready func() bool, program string, args ...string) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	log, err := os.Create(filepath.Join(s.dir, s.name+".out"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", minder, "minder", s.dir, strconv.Itoa(int(signal)), program}, args...)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, r, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting %s: %v", program, err)
	}
	s.life = w
	if !poll(startWithin, ready) {
		text, _ := os.ReadFile(log.Name())
		tb.Fatalf("starting %s: not ready after %v; its log:\n%s", program, startWithin, text)
	}
}

// systemUser returns the ids of a user of the system, which a Debian package
// makes.
func systemUser(tb TB, name, debianPackage string) *syscall.Credential {
	tb.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		tb.Fatalf("a database server does not run as root: %v (Debian's package %s makes that user)", err, debianPackage)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		tb.Fatalf("the user %s has the ids %q and %q", name, u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
