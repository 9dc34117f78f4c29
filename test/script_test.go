package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestScripts plays testdata/script against the program as an operator runs
// it: a process of its own, its signals, its sockets. Each script has a
// directory of its own and, unless it says otherwise, listens on the sockets
// public.sock and admin.sock there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HEARTH_SERVER_LISTEN", "unix:"+filepath.Join(env.WorkDir, "public.sock"))
			env.Setenv("HEARTH_SERVER_ADMIN", "unix:"+filepath.Join(env.WorkDir, "admin.sock"))
			env.Values["servers"] = &servers{}
			env.Setenv("PORT", fmt.Sprint(testkit.FreePort(t)))
			return os.WriteFile(filepath.Join(env.WorkDir, "demo.toml"), []byte(launch.Demo(t)), 0o600)
		},
		Condition: func(name string) (bool, error) {
			if name != "long" {
				return false, fmt.Errorf("the condition %q is not known", name)
			}
			return testkit.Long(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http":     httpCommand,
			"until":    untilCommand,
			"redis":    redisCommand,
			"pg":       postgresCommand,
			"database": databaseCommand,
			"signal":   signalCommand,
			"kill9":    killCommand,
			"present":  presentCommand,
			"play":     playCommand,
			"repeat":   repeatCommand,
		},
	})
}

// httpRequest is a request as scripts write it:
//
//	[-admin | -addr HOST:PORT] [-H 'Name: value'] [-d BODY | -f FILE] METHOD TARGET
type httpRequest struct {
	network, addr  string
	header         http.Header
	body           string
	method, target string
}

func parseRequest(ts *testscript.TestScript, args []string) httpRequest {
	r := httpRequest{network: "unix", addr: ts.MkAbs("public.sock"), header: http.Header{}}
	for len(args) > 2 {
		switch flag := args[0]; flag {
		case "-admin":
			r.addr = ts.MkAbs("admin.sock")
			args = args[1:]
			continue
		case "-addr":
			r.network, r.addr = "tcp", args[1]
		case "-H":
			name, value, _ := strings.Cut(args[1], ":")
			r.header.Add(name, strings.TrimSpace(value))
		case "-d":
			r.body = args[1]
		case "-f":
			r.body = ts.ReadFile(args[1])
		default:
			ts.Fatalf("http: unknown flag %q", flag)
		}
		args = args[2:]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: http [flags] METHOD TARGET")
	}
	r.method, r.target = args[0], args[1]
	return r
}

// do sends the request and returns the answer as text: status, header lines
// sorted, an empty line, body. The target goes out as it is written.
func (r httpRequest) do(ctx context.Context) (string, error) {
	transport := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, r.network, r.addr)
		},
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "http://localhost/", strings.NewReader(r.body))
	if err != nil {
		return "", err
	}
	req.URL.Opaque = "//localhost" + r.target
	req.Header = r.header
	if !strings.HasPrefix(r.target, "/") {
		req.URL.Opaque = r.target
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP %d\n", resp.StatusCode)
	var lines []string
	for name, values := range resp.Header {
		for _, v := range values {
			lines = append(lines, strings.ToLower(name)+": "+v)
		}
	}
	if resp.Close { // net/http keeps the header line to itself
		lines = append(lines, "connection: close")
	}
	slices.Sort(lines)
	fmt.Fprintf(&out, "%s\n\n%s\n", strings.Join(lines, "\n"), body)
	return out.String(), nil
}

// httpCommand prints the answer to stdout; with ! it expects that nobody
// answers.
func httpCommand(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := parseRequest(ts, args).do(ctx)
	if neg != (err != nil) {
		ts.Fatalf("http %s: error %v, answer:\n%s", strings.Join(args, " "), err, out)
	}
	_, _ = io.WriteString(ts.Stdout(), out)
}

// untilCommand repeats a request until its answer matches: until REGEXP
// [flags] METHOD TARGET. It gives up after 20 s.
func untilCommand(ts *testscript.TestScript, neg bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := parseRequest(ts, args[1:]).do(ctx)
		if err == nil && want.MatchString(out) != neg {
			_, _ = io.WriteString(ts.Stdout(), out)
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%q did not come true; last answer (error %v):\n%s", args[0], err, out)
		case <-tick.C:
		}
	}
}

// repeatCommand sends one request N times: repeat N [flags] METHOD TARGET.
// Every answer has to be below 500.
func repeatCommand(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range n {
		out, err := parseRequest(ts, args[1:]).do(ctx)
		if failed := err != nil || strings.HasPrefix(out, "HTTP 5"); failed != neg {
			ts.Fatalf("error %v, answer:\n%s", err, out)
		}
	}
}

// scriptT is the script as the owner of testkit's servers.
type scriptT struct {
	*testscript.TestScript
	ctx context.Context
}

func ownerOf(ts *testscript.TestScript) testkit.TB {
	ctx, cancel := context.WithCancel(context.Background())
	ts.Defer(cancel)
	return scriptT{ts, ctx}
}

func (t scriptT) Helper()                           {}
func (t scriptT) Context() context.Context          { return t.ctx }
func (t scriptT) Cleanup(f func())                  { t.Defer(f) }
func (t scriptT) Failed() bool                      { return false }
func (t scriptT) Errorf(format string, args ...any) { t.Logf(format, args...) }
func (t scriptT) Fatal(args ...any)                 { t.Fatalf("%s", fmt.Sprint(args...)) }

// servers are what a script has started.
type servers struct {
	redis *testkit.RedisServer
	pg    *testkit.Database
	// database is one on a server that is shared, file one of SQLite.
	database *testkit.Database
	file     string
}

// redisCommand runs a redis-server for the script: redis start [CONFIG LINE…],
// stop, kill, pause, resume, again, or any command of Redis, whose answer goes
// to stdout. start sets HEARTH_REDIS_URL.
func redisCommand(ts *testscript.TestScript, neg bool, args []string) {
	own := ts.Value("servers").(*servers)
	switch args[0] {
	case "start":
		own.redis = testkit.Redis(ownerOf(ts), testkit.WithConfig(args[1:]...))
		ts.Setenv("HEARTH_REDIS_URL", own.redis.URL())
	case "stop":
		own.redis.Stop()
	case "kill":
		own.redis.Kill()
	case "pause":
		own.redis.Pause()
	case "resume":
		own.redis.Resume()
	case "again":
		own.redis.Start()
	default:
		fmt.Fprintln(ts.Stdout(), own.redis.Do(args...))
	}
}

// postgresCommand runs a PostgreSQL for the script: pg start, stop, again, or
// SQL to run, whose first value goes to stdout. start sets HEARTH_DATABASE_URL.
func postgresCommand(ts *testscript.TestScript, neg bool, args []string) {
	own := ts.Value("servers").(*servers)
	switch args[0] {
	case "start":
		own.pg = testkit.Postgres(ownerOf(ts), testkit.OwnServer())
		ts.Setenv("HEARTH_DATABASE_URL", own.pg.URL())
	case "stop":
		own.pg.Stop()
	case "again":
		own.pg.Start()
	default:
		fmt.Fprintln(ts.Stdout(), own.pg.Text(args[0]))
	}
}

// signalCommand sends SIGTERM or SIGHUP to the program started last; kill
// knows neither.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	known := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
	running := ts.BackgroundCmds()
	ts.Check(running[len(running)-1].Process.Signal(known[args[0]]))
}

// killCommand stores batches of items from four clients at once and kills the
// program started last with SIGKILL after N of them were acknowledged: kill9 N
// FILE. FILE gets the ids of all acknowledged items.
func killCommand(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.Atoi(args[0])
	ts.Check(err)
	running := ts.BackgroundCmds()
	victim := running[len(running)-1].Process
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var acknowledged []string
	batches := 0
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				ids, body := items(client, n)
				r := httpRequest{
					network: "unix", addr: ts.MkAbs("public.sock"), method: "POST", target: "/batch_process",
					header: http.Header{"Content-Type": {"application/json"}}, body: body,
				}
				out, err := r.do(ctx)
				if err != nil || !strings.HasPrefix(out, "HTTP 200") {
					return // killed: what was on its way may be stored or not
				}
				mu.Lock()
				acknowledged = append(acknowledged, ids...)
				if batches++; batches == limit {
					ts.Check(victim.Kill())
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if batches < limit {
		ts.Fatalf("%d batches were acknowledged, %d wanted", batches, limit)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(acknowledged, "\n")), 0o600))
}

// items makes one client's n-th batch.
func items(client, n int) (ids []string, body string) {
	var b strings.Builder
	for i := range 20 {
		id := fmt.Sprintf("c%d-%d-%d", client, n, i)
		ids = append(ids, id)
		fmt.Fprintf(&b, `{"id":%q,"n":%d}`+"\n", id, n)
	}
	return ids, "[" + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", ",") + "]"
}

// presentCommand checks that every id in FILE is stored: present FILE.
func presentCommand(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ids := range slices.Chunk(strings.Split(ts.ReadFile(args[0]), "\n"), 100) {
		r := httpRequest{
			network: "unix", addr: ts.MkAbs("public.sock"), method: "GET", header: http.Header{},
			target: "/item?id=" + strings.Join(ids, "&id="),
		}
		out, err := r.do(ctx)
		ts.Check(err)
		for _, id := range ids {
			if !strings.Contains(out, `{"item":{"id":"`+id+`",`) {
				ts.Fatalf("item %q was acknowledged and is lost; got:\n%s", id, out)
			}
		}
	}
}
