package testkit

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Build builds hearth out of the module in repo, as it is shipped, and returns the
// path of the binary, which goes with the test.
func Build(tb TB, repo string) string {
	tb.Helper()
	binary := filepath.Join(TempDir(tb, "build"), "hearth")
	build := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, ".")
	build.Dir, build.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building hearth in %q: %v\n%s", repo, err, out)
	}
	return binary
}

// Setup says how an instance is to run.
type Setup struct {
	Binary  string // see Build
	Name    string
	Dir     string // working directory; "": one of its own
	Config  string // TOML; where it listens need not be said
	Env     []string
	CPUs    []int // as in Command
	Sockets bool  // it is activated: its sockets are kept here while processes come and go
}

// Instance is a place where one hearth process after another runs: addresses and
// configuration stay. Use it from the test's goroutine.
type Instance struct {
	*Process    // the latest; nil before Launch
	Name        string
	Addr, Admin string // host:port

	tb      TB
	command Command
	ended   bool // the latest process was ended here
}

// NewInstance reserves the addresses of an instance and does not start it.
func NewInstance(tb TB, s Setup) *Instance {
	tb.Helper()
	if s.Dir == "" {
		s.Dir = TempDir(tb, s.Name)
	}
	n := &Instance{tb: tb, Name: s.Name}
	file := filepath.Join(s.Dir, s.Name+".toml")
	writeFile(tb, file, s.Config)
	n.command = Command{Name: s.Name, Dir: s.Dir, CPUs: s.CPUs, Argv: []string{s.Binary, "-config", file}}
	if s.Sockets {
		n.Addr, n.Admin = n.listen(), n.listen()
		// The number of the process is known to itself only.
		n.command.Argv = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, n.command.Argv...)
		n.command.Env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin"}
	} else {
		n.Addr, n.Admin = hostPort(FreePort(tb)), hostPort(FreePort(tb))
	}
	n.command.Env = append(append(n.command.Env, "HEARTH_SERVER_LISTEN="+n.Addr, "HEARTH_SERVER_ADMIN="+n.Admin), s.Env...)
	return n
}

// listen opens a socket for the instance's processes.
func (n *Instance) listen() string {
	n.tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.tb.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(func() { _ = file.Close() })
	n.command.Files = append(n.command.Files, file)
	return l.Addr().String()
}

// Launch starts a process and does not wait until it is ready.
func (n *Instance) Launch() {
	n.tb.Helper()
	p := Start(n.tb, n.command)
	n.Process, n.ended = p, false
	n.tb.Cleanup(func() {
		if n.Process == p && !n.ended {
			n.Stop()
		}
	})
}

// AwaitServing waits until the process has reached all that it needs.
func (n *Instance) AwaitServing() {
	n.tb.Helper()
	n.AwaitReady(func() bool {
		_, err := Fetch(n.tb.Context(), "http://"+n.Admin+"/readyz")
		return err == nil
	})
}

// Start starts a process and waits until it has reached all that it needs.
func (n *Instance) Start() {
	n.tb.Helper()
	n.Launch()
	n.AwaitServing()
}

// Stop ends the process in good order. One that has ended by itself fails the test.
func (n *Instance) Stop() {
	n.tb.Helper()
	StopAll(n)
}

// StopAll is Stop for instances that end side by side.
func StopAll(all ...*Instance) {
	for _, n := range all {
		n.tb.Helper()
		if !n.Running() {
			n.tb.Errorf("stopping %s: it had ended before; its log:\n%s", n.Name, n.Logs())
		}
		n.ended = true
		n.askToEnd()
	}
	for _, n := range all {
		n.awaitEnd()
	}
}

// Kill ends the process as a power cut would.
func (n *Instance) Kill() {
	n.ended = true
	n.Process.Kill()
}

// Answered is how many requests the instance has answered with 200 so far, by the tier
// that had the answer; others are under "other status".
func (n *Instance) Answered(ctx context.Context) (map[string]float64, error) {
	text, err := Fetch(ctx, "http://"+n.Admin+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", n.Name, err)
	}
	return answersByTier(text)
}

// answersByTier reads them from metrics.
func answersByTier(metrics string) (map[string]float64, error) {
	tiers := map[string]float64{}
	for line := range strings.Lines(metrics) {
		labels, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(labels, "hearth_requests_total{") {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metric %q: %w", line, err)
		}
		tier := "other status"
		if strings.Contains(labels, `code="200"`) {
			_, tier, _ = strings.Cut(labels, `tier="`)
			tier, _, _ = strings.Cut(tier, `"`)
		}
		tiers[tier] += count
	}
	return tiers, nil
}

// fetching asks anew each time: a kept connection could lead to a process that has
// ended.
var fetching = &http.Client{Timeout: startWithin, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// Fetch gets the body of an answer with 200; any other answer is an error.
func Fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := fetching.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered %d %q", url, res.StatusCode, text)
	}
	return string(text), err
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
