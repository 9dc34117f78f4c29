package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// machine is a throw-away one: the root of the machine that runs the test, with
// what is written to it kept in memory, and processes, network and host name of
// its own. So a package is installed, upgraded and purged for real, on the ports
// and paths that it has, and nothing of it is left. It needs root.
type machine struct {
	tb     testing.TB
	first  *exec.Cmd // process 1
	shared string    // seen as /mnt inside
	http   *http.Client
	calls  chan *call // to enter
}

// newMachine starts one whose first process is the given program: systemd, or
// something that only waits.
func newMachine(tb testing.TB, program ...string) *machine {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("making a throw-away machine: it takes root, for mounts and namespaces; " +
			`run: sudo env "PATH=$PATH" go test ./deploy`)
	}
	testkit.Need(tb, "util-linux", []string{"nsenter"})
	group := newControlGroup(tb)
	m := &machine{tb: tb, shared: tb.TempDir()}
	log := filepath.Join(m.shared, "log")
	out, err := os.Create(log)
	must(tb, err)
	defer out.Close()
	m.first = exec.Command("testdata/root", append([]string{m.shared}, program...)...)
	m.first.Stdout, m.first.Stderr = out, out
	m.first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// In it from the beginning, so that all that is started is in it.
		UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	ended, err := start(m.first)
	if err != nil {
		tb.Fatalf("making a throw-away machine: %v; it takes real root, not a container's", err)
	}
	tb.Cleanup(func() {
		m.http.CloseIdleConnections()
		if tb.Failed() {
			text, _ := os.ReadFile(log)
			tb.Logf("the machine printed:\n%s", text[max(0, len(text)-4<<10):])
		}
		_ = m.first.Process.Kill() // and the kernel kills all others of its namespace
		<-ended
	})
	m.calls = make(chan *call)
	left := make(chan struct{})
	go func() {
		defer close(left)
		m.enter(m.calls)
	}()
	tb.Cleanup(func() {
		close(m.calls)
		<-left
	})
	m.http = &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{DialContext: m.dial, DisableCompression: true},
	}
	testkit.Eventually(tb, patience, "the machine's root is in place", func() bool {
		select {
		case <-ended:
			text, _ := os.ReadFile(log)
			tb.Fatalf("making a throw-away machine: %v; it takes real root (not a container's) and overlayfs:\n%s", m.first.ProcessState, text)
		default:
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.first.Process.Pid))
		return strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " ") == strings.Join(program, " ")
	})
	m.must("ip", "link", "set", "lo", "up")
	return m
}

// start starts a command that ends with the test binary at the latest, and returns
// what is closed when it has ended and was reaped. The kernel sends the death
// signal when the thread that forked ends, so one goroutine keeps its thread
// until then.
func start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return done, <-started
}

// patience bounds every wait.
const patience = launch.Patience

// newControlGroup makes a control group for a machine and removes it, with all that
// a service manager made in it, when the test has ended.
func newControlGroup(tb testing.TB) *os.File {
	tb.Helper()
	mount := "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
		mount += "/unified" // beside the older hierarchies
	}
	dir, err := os.MkdirTemp(mount, "hearth-test-")
	if err != nil {
		tb.Fatalf("making a throw-away machine: %v; it takes a control group (version 2) of its own", err)
	}
	group, err := os.Open(dir)
	must(tb, err)
	tb.Cleanup(func() {
		group.Close()
		testkit.Eventually(tb, patience, "the control group is empty", func() bool { return removeGroups(dir) == nil })
	})
	return group
}

// removeGroups removes a control group and those in it; their files go with them.
func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeGroups(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, syscall.Rmdir(dir))
}

// command is a command inside the machine, as root.
func (m *machine) command(args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.first.Process.Pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wdns=/", "--"}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "SYSTEMD_COLORS=0"}
	return cmd
}

// run runs a command inside and returns what it printed.
func (m *machine) run(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// must is run that ends the test when the command fails.
func (m *machine) must(args ...string) string {
	m.tb.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.tb.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// sh runs a line of shell inside, ending the test when it fails.
func (m *machine) sh(line string) string {
	m.tb.Helper()
	return m.must("sh", "-euc", line)
}

// put copies a file into the machine's /mnt and returns its name there.
func (m *machine) put(path string) string {
	m.tb.Helper()
	text, err := os.ReadFile(path)
	must(m.tb, err)
	must(m.tb, os.WriteFile(filepath.Join(m.shared, filepath.Base(path)), text, 0o644))
	return "/mnt/" + filepath.Base(path)
}

// The main thread is kept for the main goroutine: what a thread in another network
// would do to it, it would do to /proc/self of the whole test binary.
func init() { runtime.LockOSThread() }

// call is a connection that is asked of enter, and what comes of it.
type call struct {
	ctx           context.Context
	network, addr string
	conn          net.Conn
	err           error
	done          chan struct{}
}

// enter opens connections inside the machine, until there are no more calls. It has
// a thread of its own, which enters the machine's network and ends with it.
func (m *machine) enter(calls <-chan *call) {
	runtime.LockOSThread() // never unlocked: nobody else can use the thread
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.first.Process.Pid))
	if err == nil {
		err = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
	}
	for c := range calls {
		if c.err = err; err == nil {
			c.conn, c.err = new(net.Dialer).DialContext(c.ctx, c.network, c.addr)
		}
		close(c.done)
	}
}

// dial connects to an address inside.
func (m *machine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c := &call{ctx: ctx, network: network, addr: addr, done: make(chan struct{})}
	m.calls <- c
	<-c.done
	return c.conn, c.err
}

// get asks the server inside, and returns status and body, or 0 and the error.
func (m *machine) get(url string) (int, string) {
	resp, err := m.http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

const (
	public = "http://127.0.0.1:8080"
	admin  = "http://127.0.0.1:9090"
)

// awaitHealthy returns when the server inside answers health checks.
func (m *machine) awaitHealthy() {
	m.tb.Helper()
	testkit.Eventually(m.tb, patience, "/healthz says 200", func() bool {
		code, _ := m.get(public + "/healthz")
		return code == http.StatusOK
	})
}
