package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hearth/bench/process"
	"hearth/bench/resp"
)

const (
	stopWithin   = 30 * time.Second // a server with ten thousand connections to end
	answerWithin = 30 * time.Second
	runWithin    = time.Hour // of the one connection to Redis
)

// stage is what a run starts: a Redis, and the two servers.
type stage struct {
	connections int
	held        time.Duration // how long a request to heldPath is
	dir         string
	redis       *process.Process
	asking      *resp.Conn // to Redis; for one goroutine at a time
	servers     []*server
}

// server is one of those that are compared.
type server struct {
	name  string
	addr  string // host:port
	proc  *process.Process
	begun func(ctx context.Context) (int64, error) // requests that have come so far
	held  func(ctx context.Context) (int64, error) // of these, to heldPath
	// answered is how many requests were answered with 200; nil where nobody counts.
	answered func(ctx context.Context) (int64, error)
}

// start starts all of them and waits until they answer.
func (s *stage) start(ctx context.Context, hearth, config string) error {
	redisAddr, err := s.startRedis(ctx)
	if err != nil {
		return err
	}
	if err := s.startBare(ctx); err != nil {
		return err
	}
	return s.startHearth(ctx, hearth, config, redisAddr)
}

// end stops all of them, the last one first. One that has ended before was missed
// when it was asked something, and reported then.
func (s *stage) end() {
	for i := len(s.servers) - 1; i >= 0; i-- {
		_ = s.servers[i].proc.Stop(stopWithin)
	}
	if s.asking != nil {
		s.asking.Close()
	}
	if s.redis != nil {
		_ = s.redis.Stop(stopWithin)
	}
}

func (s *stage) startRedis(ctx context.Context) (addr string, err error) {
	bin, err := process.Find("redis-server", "redis-server")
	if err != nil {
		return "", err
	}
	if addr, err = process.FreeAddr(); err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(addr, ":")
	s.redis, err = process.Start(process.Command{
		Name: "redis-server", Dir: s.dir, Logs: s.dir, CPU: process.AnyCPU, Last: syscall.SIGTERM,
		Argv: onTwo(bin, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir),
	})
	if err != nil {
		return "", err
	}
	return addr, s.redis.Await(ctx, func() (err error) {
		s.asking, err = resp.Dial(addr, runWithin)
		return err
	})
}

// startHearth serves the demo's configuration, all that is on by default being on,
// with a second counter whose requests are held.
func (s *stage) startHearth(ctx context.Context, bin, config, redisAddr string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("reading the demo's configuration: %w", err)
	}
	text = fmt.Appendf(text, "\n[[counter]]\npath = %q\nkey = \"held_count\"\nwork = %q\n", heldPath, s.held)
	file := filepath.Join(s.dir, "hearth.toml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	addr, err := process.FreeAddr()
	if err != nil {
		return err
	}
	admin, err := process.FreeAddr()
	if err != nil {
		return err
	}
	h := &server{name: "hearth", addr: addr}
	h.held = func(context.Context) (int64, error) { return s.number("held_count") }
	h.begun = func(context.Context) (int64, error) {
		n, err := s.number("request_count")
		if err != nil {
			return 0, err
		}
		more, err := s.number("held_count")
		return n + more, err
	}
	h.answered = func(ctx context.Context) (int64, error) { return answered(ctx, "http://"+admin+"/metrics") }
	return s.launch(ctx, h, process.Command{
		Argv: onTwo(bin, "-config", file),
		Env: []string{
			"HEARTH_SERVER_LISTEN=" + addr, "HEARTH_SERVER_ADMIN=" + admin, "HEARTH_SERVER_DRAIN=0s",
			"HEARTH_REDIS_URL=redis://" + redisAddr,
			"HEARTH_LOG_SLOW=1h", // those that are held are not slow
		},
	})
}

// startBare starts this program once more.
func (s *stage) startBare(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addr, err := process.FreeAddr()
	if err != nil {
		return err
	}
	b := &server{name: "bare", addr: addr}
	b.begun = func(ctx context.Context) (int64, error) {
		text, err := ask(ctx, "http://"+addr+"/count")
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(text, 10, 64)
	}
	b.held = b.begun
	return s.launch(ctx, b, process.Command{Argv: onTwo(self, "bare", addr, s.held.String())})
}

// launch starts a server and waits until it answers.
func (s *stage) launch(ctx context.Context, srv *server, cmd process.Command) (err error) {
	cmd.Name, cmd.Dir, cmd.Logs, cmd.CPU, cmd.Last = srv.name, s.dir, s.dir, process.AnyCPU, syscall.SIGTERM
	if srv.proc, err = process.Start(cmd); err != nil {
		return err
	}
	s.servers = append(s.servers, srv)
	return srv.proc.Await(ctx, func() error {
		_, err := ask(ctx, "http://"+srv.addr+workPath)
		return err
	})
}

// onTwo lets a program use the first two processors that this one may use. Where there
// are no more than two, there is nothing to say.
func onTwo(argv ...string) []string {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() <= 2 {
		return argv
	}
	var found []string
	for i := 0; len(found) < 2; i++ {
		if set.IsSet(i) {
			found = append(found, strconv.Itoa(i))
		}
	}
	return append([]string{"taskset", "-c", strings.Join(found, ",")}, argv...)
}

// number reads a counter from Redis.
func (s *stage) number(key string) (int64, error) {
	text, err := s.asking.Do("GET", key)
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

var client = &http.Client{Timeout: answerWithin, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// ask gets the body of an answer with 200.
func ask(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
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

// answered reads from Hearth's metrics how many requests it has answered with 200.
func answered(ctx context.Context, metrics string) (sum int64, err error) {
	text, err := ask(ctx, metrics)
	if err != nil {
		return 0, fmt.Errorf("reading Hearth's metrics: %w", err)
	}
	for line := range strings.Lines(text) {
		labels, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if !found || !strings.HasPrefix(labels, "hearth_requests_total{") || !strings.Contains(labels, `code="200"`) {
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading Hearth's metrics: %w", err)
		}
		sum += n
	}
	return sum, nil
}
