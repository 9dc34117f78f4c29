package deploy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// balancer is a shipped configuration: how it is started, and checked.
type balancer struct {
	name   string
	file   string
	listen string // what it listens on, as it is shipped
	drain  string // server.drain as the file's comments advise
	start  func(tb testing.TB, config string, files ...testkit.File) *testkit.Proxy
	check  func(tb testing.TB, file string) *exec.Cmd
}

var balancers = []balancer{
	{
		name: "haproxy", file: "haproxy.cfg", listen: "bind :80\n", drain: "5s",
		start: func(tb testing.TB, config string, files ...testkit.File) *testkit.Proxy {
			tb.Helper()
			return testkit.HAProxy(tb, config, files...)
		},
		check: func(tb testing.TB, file string) *exec.Cmd {
			tb.Helper()
			return exec.Command(testkit.NeedHAProxy(tb), "-c", "-q", "-f", file)
		},
	},
	{
		name: "nginx", file: "nginx.conf", listen: "listen 80;\n", drain: "0s",
		start: func(tb testing.TB, config string, files ...testkit.File) *testkit.Proxy {
			tb.Helper()
			return testkit.Nginx(tb, config, files...)
		},
		check: func(tb testing.TB, file string) *exec.Cmd {
			tb.Helper()
			dir := filepath.Dir(file)
			return exec.Command(testkit.NeedNginx(tb), "-t", "-q", "-p", dir, "-e", "stderr", "-c", file,
				"-g", "error_log stderr; pid "+dir+"/pid;")
		},
	},
}

// config is the shipped file with other addresses, as a whole configuration, and the
// address it listens on.
func (b balancer) config(tb testing.TB, servers [3]string) (text, addr string) {
	tb.Helper()
	raw, err := os.ReadFile(b.file)
	must(tb, err)
	text, addr = string(raw), fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))
	replace := func(old, by string) {
		tb.Helper()
		if strings.Count(text, old) != 1 {
			tb.Fatalf("%s has %q %d times, want once", b.file, old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, by, 1)
	}
	replace(b.listen, strings.Replace(strings.Replace(b.listen, ":80", addr, 1), " 80", " "+addr, 1))
	for i, server := range servers {
		// The comments have the first one, too.
		text = strings.ReplaceAll(text, `"10.0.0.11:8080"`, `"…"`)
		replace(fmt.Sprintf("10.0.0.%d:8080", 11+i), server)
	}
	if b.name == "nginx" {
		return "events {}\nhttp {\naccess_log off;\n" + text + "}\n", addr
	}
	replace("log /dev/log local0 info\n", "log stdout format raw daemon\n")
	return text, addr
}

// run starts the balancer in front of servers and returns it and its URL.
func (b balancer) run(tb testing.TB, servers [3]string) (proxy *testkit.Proxy, url string) {
	tb.Helper()
	text, addr := b.config(tb, servers)
	return b.start(tb, text), "http://" + addr
}

// each runs a test for each of the balancers.
func each(t *testing.T, test func(t *testing.T, b balancer)) {
	t.Helper()
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

func TestBalancersTakeTheirFiles(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b balancer) {
		text, _ := b.config(t, [3]string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"})
		file := filepath.Join(t.TempDir(), b.file)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if out, err := b.check(t, file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("checking %s: %v\n%s", b.file, err, out)
		}
	})
}

// send sends a request on a connection of its own and returns the status.
func send(method, url string, header http.Header) (int, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(`{"name":"x"}`))
	if err != nil {
		return 0, err
	}
	if method == http.MethodGet {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// load sends requests all the time until stop is called, which returns how many were
// not answered as they should have been.
func load(t *testing.T, method, url string, clients int) (sent *atomic.Int64, stop func()) {
	sent = new(atomic.Int64)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				code, err := send(method, url, nil)
				sent.Add(1)
				if code != http.StatusOK {
					t.Errorf("%s %s: %d (%v)", method, url, code, err)
				}
			}
		})
	}
	return sent, func() {
		close(done)
		all.Wait()
	}
}

// TestBalancersSurviveInstances keeps requests coming while one instance drains and
// another one is killed: no read is lost, and with health checks no write is lost
// to the drain.
func TestBalancersSurviveInstances(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b balancer) {
		var servers [3]*server
		var addrs [3]string
		for i := range servers {
			servers[i] = newServer(t, launch.Demo(t), "HEARTH_SERVER_DRAIN="+b.drain)
			addrs[i] = servers[i].Public
		}
		proxy, url := b.run(t, addrs)
		sent, stop := load(t, http.MethodGet, url+"/user/1", 3)
		more := func() {
			t.Helper()
			before := sent.Load()
			testkit.Eventually(t, patience, "requests go on", func() bool { return sent.Load() > before+100 })
		}
		more()

		stopWrites := func() {}
		if b.name == "haproxy" {
			_, stopWrites = load(t, http.MethodPut, url+"/user/2", 1)
		}
		servers[0].signal(syscall.SIGTERM)
		if b.name == "haproxy" {
			testkit.Eventually(t, patience, "HAProxy takes the draining instance out", func() bool {
				return strings.Contains(proxy.Logs(), "hearth/hearth1 is DOWN")
			})
			if !servers[0].Running() {
				t.Error("the instance had closed before HAProxy took it out; server.drain is too short for the checks")
			}
		}
		<-servers[0].Done()
		more()
		stopWrites()

		servers[1].Kill()
		more()
		stop()
	})
}

// backend is a server that counts requests by method and path.
type backend struct {
	mu      sync.Mutex
	seen    map[string]int
	headers http.Header // of the latest request that was no health check
}

// serve answers health checks, and other requests with handle after counting them.
func (b *backend) serve(tb testing.TB, handle http.HandlerFunc) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		b.mu.Lock()
		b.seen[r.Method+" "+r.URL.Path]++
		b.headers = r.Header.Clone()
		b.mu.Unlock()
		handle(w, r)
	}))
	tb.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func (b *backend) count(what string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[what]
}

// hangUp closes the connection instead of answering.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// TestBalancersNeverRepeatAWrite lets every server take the request and then close the
// connection: it may have been carried out, so only what is safe is tried again.
func TestBalancersNeverRepeatAWrite(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b balancer) {
		for _, row := range []struct {
			method string
			least  int
			most   int
		}{
			{http.MethodPut, 1, 1},
			{http.MethodPost, 1, 1},
			{http.MethodPatch, 1, 1},
			{http.MethodDelete, 1, 1},
			{http.MethodGet, 2, 4}, // shows that a repetition would be seen
		} {
			back := &backend{seen: map[string]int{}}
			var addrs [3]string
			for i := range addrs {
				addrs[i] = back.serve(t, hangUp)
			}
			proxy, url := b.run(t, addrs)
			code, err := send(row.method, url+"/user/1", nil)
			if err != nil || code != http.StatusBadGateway {
				t.Errorf("%s is answered %d (%v), want 502", row.method, code, err)
			}
			if got := back.count(row.method + " /user/1"); got < row.least || got > row.most {
				t.Errorf("a %s reached servers %d times, want %d to %d", row.method, got, row.least, row.most)
			}
			proxy.Stop()
		}
	})
}

// TestBalancersSendElsewhereWhatWasNotSent leaves one server of three: what could not
// connect to the others was not sent, so writes are tried again as well.
func TestBalancersSendElsewhereWhatWasNotSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b balancer) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
			back := &backend{seen: map[string]int{}}
			addrs := [3]string{
				fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)), // nobody listens
				fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)),
				back.serve(t, func(http.ResponseWriter, *http.Request) {}),
			}
			proxy, url := b.run(t, addrs)
			for i := range 3 {
				path := fmt.Sprintf("/user/%d", i)
				if code, err := send(method, url+path, nil); err != nil || code != http.StatusOK {
					t.Errorf("%s is answered %d (%v), want 200", method, code, err)
				}
				if got := back.count(method + " " + path); got != 1 {
					t.Errorf("a %s reached the server %d times, want once", method, got)
				}
			}
			proxy.Stop()
		}
	})
}

// TestBalancersReplaceWhatClientsClaim sends addresses and ids that are not the
// client's.
func TestBalancersReplaceWhatClientsClaim(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`^[A-Za-z0-9._-]{16,64}$`)
	each(t, func(t *testing.T, b balancer) {
		back := &backend{seen: map[string]int{}}
		addr := back.serve(t, func(http.ResponseWriter, *http.Request) {})
		_, url := b.run(t, [3]string{addr, addr, addr})
		claims := http.Header{"X-Forwarded-For": {"192.0.2.1", "192.0.2.2, 127.0.0.9"}, "X-Request-Id": {"mine", "and mine"}}
		if code, err := send(http.MethodGet, url+"/user/1", claims); err != nil || code != http.StatusOK {
			t.Fatalf("answered %d (%v)", code, err)
		}
		back.mu.Lock()
		defer back.mu.Unlock()
		if got := back.headers["X-Forwarded-For"]; len(got) != 1 || net.ParseIP(got[0]) == nil || got[0] != "127.0.0.1" {
			t.Errorf("X-Forwarded-For arrives as %q", got)
		}
		if got := back.headers["X-Request-Id"]; len(got) != 1 || !id.MatchString(got[0]) {
			t.Errorf("X-Request-Id arrives as %q", got)
		}
	})
}
