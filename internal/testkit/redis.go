package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// RedisServer is a redis-server of the test's own. It keeps its port, socket and
// directory over Stop, Kill and Start; Kill saves nothing. Use it from the test's
// goroutine, but for Dial, Try, Running and Paused.
type RedisServer struct {
	*Process // the latest, for its owner
	latest   *Latest

	tb     TB
	dir    string
	port   int
	config []string // lines after ours, so they win
	cpus   []int    // the only processors that it may use; nil: any

	program func(tb TB) string // finds the program
}

// RedisOption changes how Redis starts a server.
type RedisOption func(*RedisServer)

// WithConfig adds lines of redis.conf, such as `maxmemory 10mb`.
func WithConfig(lines ...string) RedisOption {
	return func(s *RedisServer) { s.config = append(s.config, lines...) }
}

// WithCPUs lets the server use these processors only.
func WithCPUs(cpus []int) RedisOption {
	return func(s *RedisServer) { s.cpus = cpus }
}

// AsValkey starts valkey-server in place of redis-server.
func AsValkey() RedisOption {
	return func(s *RedisServer) { s.program = NeedValkey }
}

// Redis starts an empty redis-server on a port of its own and returns when it
// answers. It writes nothing to disk by itself and ends with the test.
func Redis(tb TB, opts ...RedisOption) *RedisServer {
	tb.Helper()
	s := &RedisServer{tb: tb, program: NeedRedis, latest: new(Latest)}
	for _, opt := range opts {
		opt(s)
	}
	s.dir = TempDir(tb, "redis")
	s.port = FreePort(tb)
	conf := []string{
		fmt.Sprintf("port %d", s.port),
		"bind 127.0.0.1",
		"unixsocket " + s.socket(),
		"dir " + s.dir,
		"daemonize no",
		`save ""`,
		"appendonly no",
		"enable-debug-command local",
		"repl-diskless-sync-delay 0",
	}
	conf = append(conf, s.config...)
	writeFile(tb, filepath.Join(s.dir, "redis.conf"), strings.Join(conf, "\n")+"\n")
	s.Start()
	return s
}

// For is the same server for a test within the test, which it fails then. It is not to
// be started or ended by it: the copy would not know of the new process.
func (s *RedisServer) For(tb TB) *RedisServer {
	s2 := *s
	s2.tb = tb
	return &s2
}

// Start starts the server again after Stop or Kill, on the same port and with
// what is on disk: all that it held at Stop; after Kill what a SAVE or the append-only file kept.
func (s *RedisServer) Start() {
	s.tb.Helper()
	s.launch()
	s.AwaitReady(func() bool {
		v, err := s.Try("PING")
		return err == nil && v == "PONG"
	})
}

// launch starts the server, with arguments that come after its file, and does not wait.
func (s *RedisServer) launch(args ...string) {
	s.tb.Helper()
	if s.Running() {
		s.tb.Fatal("starting redis-server: it runs already")
	}
	s.Process = s.latest.Is(Start(s.tb, Command{
		Name: "redis-server",
		Argv: append([]string{s.program(s.tb), filepath.Join(s.dir, "redis.conf")}, args...),
		Dir:  s.dir,
		CPUs: s.cpus,
	}))
}

// Running reports whether the server has not ended yet. A paused one runs.
func (s *RedisServer) Running() bool { return s.latest.Running() }

// Paused reports whether the server stands still by Pause.
func (s *RedisServer) Paused() bool { return s.latest.Paused() }

// StartEmpty is Start with nothing on disk, as after a lost machine.
func (s *RedisServer) StartEmpty() {
	s.tb.Helper()
	for _, name := range []string{"dump.rdb", "appendonlydir"} {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			s.tb.Fatalf("emptying redis-server: %v", err)
		}
	}
	s.Start()
}

// Stop saves the data and ends the server in good order. A paused one is resumed.
func (s *RedisServer) Stop() {
	s.tb.Helper()
	s.Resume()
	s.Do("SAVE")
	s.Process.Stop()
}

// Port is the TCP port on 127.0.0.1.
func (s *RedisServer) Port() int { return s.port }

// Addr is host:port.
func (s *RedisServer) Addr() string { return hostPort(s.port) }

// socket is the path of the unix socket, on which the server listens too.
func (s *RedisServer) socket() string { return filepath.Join(s.dir, "redis.sock") }

// URL is the address in the form of the configuration key redis.url.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() }

// AdminConn opens a connection of its own to the server, over the unix socket, so
// that it also works where TCP is what the test disturbs. It is closed with the test.
func (s *RedisServer) AdminConn() *RedisConn {
	s.tb.Helper()
	c, err := s.Dial()
	if err != nil {
		s.tb.Fatalf("connecting to redis-server: %v", err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

// Dial is AdminConn for goroutines of a test, and for a server that may be away: the
// caller closes the connection.
func (s *RedisServer) Dial() (*RedisConn, error) { return dialRedis(s.tb, "unix", s.socket()) }

// Try sends one command on a new connection and returns its reply: string, int64,
// nil or []any. An error reply comes as err of type Error.
func (s *RedisServer) Try(args ...string) (any, error) {
	c, err := s.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Try(args...)
}

// Do is Try that ends the test on any error.
func (s *RedisServer) Do(args ...string) any {
	s.tb.Helper()
	v, err := s.Try(args...)
	if err != nil {
		s.tb.Fatalf("asking redis-server %q: %v", args, err)
	}
	return v
}

// Text is Do for a command that answers with a string or number; nil is "".
func (s *RedisServer) Text(args ...string) string {
	s.tb.Helper()
	return text(s.Do(args...))
}

// Int is Do for a command that answers with an integer.
func (s *RedisServer) Int(args ...string) int64 {
	s.tb.Helper()
	n, ok := s.Do(args...).(int64)
	if !ok {
		s.tb.Fatalf("asking redis-server %q: the answer is no integer", args)
	}
	return n
}
