// Package launch starts the whole program for a test: in a process of its own, as
// an operator does, or within the process of the test.
//
// It is the one way to do so, and in both forms the code is the same: a test binary
// whose TestMain calls inside.Main is the program, too, when it runs under the name
// "hearth". So nothing is built beside the tests, and the race detector watches the
// program as it watches the test. Proofs and benchmarks build it, as it is shipped.
//
//	in := launch.Ready(t, config, "HEARTH_REDIS_URL="+redis.URL())
//	got := in.Get("/user/1")
//
// A process is what an operator runs, and what signals, limits and kills are tried on.
// Program.Here runs the program within the test, where a debugger and a profile of the
// test see it.
package launch

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hearth/internal/testkit"
)

// Name is how inside.Main calls the program in PATH.
const Name = "hearth"

// Patience bounds every wait for an instance. It is long since a loaded machine is
// no fault of the code under test.
const Patience = 30 * time.Second

// AtATime lets n tests of a package run at a time, unless somebody has chosen. Those
// that wait for timeouts, leases and other programs for most of their time may be
// more than there are processors. It is called in TestMain.
func AtATime(n int) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
}

// Values of Program.Public and Program.Admin that are no addresses.
const (
	Socket       = ""   // a unix socket in the instance's directory
	Port         = ":0" // a free TCP port of this machine
	AsConfigured = "-"  // as the configuration says, or sockets that are passed
)

// Program says what is started and how. The zero value serves a configuration
// without resources on unix sockets, as a process.
type Program struct {
	Config  string     // text of the configuration file
	Dir     string     // of the configuration, the log and the sockets; "": a new one
	Env     []string   // beside the test's own variables, which it replaces; overrides keys
	Public  string     // server.listen: an address, Socket or Port
	Admin   string     // server.admin: likewise
	Path    string     // the program; see Build; "": the one that inside.Main puts into PATH
	Wrapper []string   // a command that runs the program, given as its last arguments
	Files   []*os.File // what the process gets, from descriptor 3 on
	CPUs    []int      // the only processors that it may use; nil: any
	Here    bool       // in this process: it can be stopped, not killed
	Orderly bool       // it ends in good order with the test, which fails if it has ended by itself
}

// Instance is a program that was started. It ends with the test, and prints the end
// of its log if that has failed. Unless they say otherwise, methods may be called
// from the test's own goroutine only.
type Instance struct {
	Dir    string
	File   string // the configuration
	Public string // unix:PATH or host:port
	Admin  string // likewise
	// HTTP reaches the instance whatever host an URL names: the host "admin" is the
	// admin listener, any other the public one.
	HTTP *http.Client

	tb      testkit.TB
	program Program
	log     string // file with standard output and error
	ended   bool   // it was ended here
	running
}

// running is how an instance runs.
type running interface {
	// Pid is the number of the process that was started: a wrapper's, if there is one.
	Pid() int
	// Done is closed when the instance has ended, and Running tells that it has not.
	Done() <-chan struct{}
	Running() bool
	// Kill ends the instance at once, as a power cut would, and waits until it is gone.
	// A second time it does nothing.
	Kill()

	signal(s syscall.Signal) error
	status() syscall.WaitStatus // after the end
}

// Start starts the program and does not wait for it. A program that has a Dir with
// a config.toml and no Config is started with what is there.
func (p Program) Start(tb testkit.TB) *Instance {
	tb.Helper()
	if p.Dir == "" {
		p.Dir = testkit.TempDir(tb, "instance")
	}
	in := &Instance{tb: tb, program: p, Dir: p.Dir, File: filepath.Join(p.Dir, "config.toml"), log: filepath.Join(p.Dir, Name+".out")}
	if _, err := os.Lstat(in.File); err != nil || p.Config != "" {
		in.Configure(p.Config)
	}
	env := append(listenEnv(tb, "LISTEN", p.Public, filepath.Join(p.Dir, "public.sock"), &in.Public),
		listenEnv(tb, "ADMIN", p.Admin, filepath.Join(p.Dir, "admin.sock"), &in.Admin)...)
	env = append(env, p.Env...)
	in.HTTP = &http.Client{
		Timeout:   Patience,
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, DialContext: in.dial},
	}
	if p.Here {
		in.running = p.startHere(tb, in.File, env, in.log)
	} else {
		in.running = p.startProcess(tb, in.File, env)
	}
	tb.Cleanup(func() {
		in.HTTP.CloseIdleConnections()
		if p.Orderly && !in.ended {
			in.Stop()
		}
		in.Kill()
		if text := in.Logs(); p.Here && tb.Failed() { // a process says so itself
			tb.Logf("an instance printed:\n%s", text[max(0, len(text)-4<<10):])
		}
	})
	return in
}

// Again starts the program once more where an instance has ended: in its directory and
// at its addresses, with the configuration that is there.
func (in *Instance) Again() *Instance {
	in.tb.Helper()
	p := in.program
	p.Config, p.Dir = "", in.Dir
	for addr, was := range map[*string]string{&p.Public: in.Public, &p.Admin: in.Admin} {
		if *addr == Port {
			*addr = was
		}
	}
	return p.Start(in.tb)
}

// Ready is Start that returns when the instance has reached all that it needs.
func (p Program) Ready(tb testkit.TB) *Instance {
	tb.Helper()
	in := p.Start(tb)
	in.AwaitReady()
	return in
}

// listenEnv turns a Program's address into variables, and stores what it comes to.
func listenEnv(tb testkit.TB, key, addr, socket string, to *string) []string {
	tb.Helper()
	switch addr {
	case AsConfigured:
		return nil
	case Socket:
		addr = "unix:" + socket
	case Port:
		addr = fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))
	}
	*to = addr
	return []string{"HEARTH_SERVER_" + key + "=" + addr}
}

// dial connects to the listener that a URL's host names.
func (in *Instance) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	to := in.Public
	if strings.HasPrefix(addr, "admin:") {
		to = in.Admin
	}
	return dial(ctx, to)
}

// dial connects to an address in the form of server.listen.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// Demo is the configuration that comes with the program, with the demo's records.
func Demo(tb testkit.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(Root(tb), "config.toml"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Given is the binary that a command line names, as an absolute path, or a new one out of
// the module in repo where it names none.
func Given(tb testkit.TB, repo, binary string) string {
	tb.Helper()
	if binary == "" {
		return Build(tb, repo)
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		tb.Fatal(err)
	}
	return binary
}

// Build builds the program out of the module in repo, as it is shipped but for build tags,
// and returns the path of the binary, which goes with the test.
func Build(tb testkit.TB, repo string, tags ...string) string {
	tb.Helper()
	binary := filepath.Join(testkit.TempDir(tb, "build"), Name)
	build := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-tags", strings.Join(tags, ","), "-o", binary, ".")
	build.Dir, build.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building hearth in %q: %v\n%s", repo, err, out)
	}
	return binary
}

// Root is the directory of the module, in or below which this runs.
func Root(tb testkit.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	tb.Fatal("looking for the module: there is no go.mod here or above")
	return ""
}

// Start starts a Program that is nothing but a configuration and variables.
func Start(tb testkit.TB, config string, env ...string) *Instance {
	tb.Helper()
	return Program{Config: config, Env: env}.Start(tb)
}

// Ready is Start that returns when the instance has reached all that it needs.
func Ready(tb testkit.TB, config string, env ...string) *Instance {
	tb.Helper()
	return Program{Config: config, Env: env}.Ready(tb)
}
