package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// refused is a request with content that is refused by its header.
type refused struct {
	listener     string
	method, path string
	headers      map[string]string
	want         int
}

const largeHeader = 20 << 10 // more than server.max_header

// refusedRequests get every status by which a request with content is refused.
// The instance has max_body at 32 KiB, a token, and a limit on /limited.
var refusedRequests = []refused{
	{"public", "POST", "/nowhere", nil, 404},
	{"public", "POST", "/user/1", nil, 405},
	{"public", "PUT", "/user/1", nil, 401},
	{"public", "PUT", "/user/1", map[string]string{"Authorization": "Bearer " + metricsToken}, 403},
	{"public", "PUT", "/user/1", map[string]string{"Authorization": "Bearer " + writeToken, "Content-Type": "text/plain"}, 415},
	{"public", "POST", "/batch_process", map[string]string{"Authorization": "Bearer " + writeToken, "Content-Encoding": "gzip"}, 415},
	{"public", "POST", "/batch_process", map[string]string{"Authorization": "Bearer " + writeToken}, 413},
	{"public", "PUT", "/user/x", map[string]string{"Authorization": "Bearer " + writeToken}, 422},
	{"public", "PUT", "/user/1", map[string]string{"Authorization": "Bearer " + writeToken, "If-None-Match": "no tag"}, 400},
	{"public", "PUT", "/user/1", map[string]string{"Authorization": "Bearer " + writeToken, "If-Match": `"weak here"`}, 412},
	{"public", "POST", "/nowhere", map[string]string{"Expect": "tea"}, 417},
	{"public", "POST", "/nowhere", map[string]string{"X-Large": strings.Repeat("x", largeHeader)}, 431},
	{"public", "PUT", "/limited/1", nil, 429},
	{"admin", "POST", "/nowhere", map[string]string{"Authorization": "Bearer " + adminToken}, 404},
	{"admin", "POST", "/livez", map[string]string{"Authorization": "Bearer " + adminToken}, 405},
	{"admin", "POST", "/api/invalidate", nil, 401},
	{"admin", "POST", "/api/invalidate", map[string]string{"Authorization": "Bearer " + writeToken}, 403},
	{"admin", "POST", "/api/invalidate", map[string]string{"Authorization": "Bearer " + adminToken, "Content-Type": "text/plain"}, 415},
	{"admin", "POST", "/nowhere", map[string]string{"Expect": "tea"}, 417},
	{"admin", "POST", "/nowhere", map[string]string{"Host": "evil.example"}, 421},
	{"admin", "POST", "/nowhere", map[string]string{"X-Large": strings.Repeat("x", largeHeader)}, 431},
}

// refusing starts the instance that refusedRequests are for.
func refusing(t *testing.T, env ...string) listeners {
	t.Helper()
	awaitNewHour(t)
	l := listenWith(t, launch.Demo(t)+tokens+`
[[limit]]
name = "one"
paths = ["/limited/{id:int}"]
by = "global"
rate = "1/h"
local_rate = "1/h"
[[resource]]
name = "limited"
path = "/limited/{id:int}"
key = "limited:{id}"
select = "SELECT id, name FROM users WHERE id = {id}"
upsert = "UPDATE users SET name = {body.name} WHERE id = {id}"
`, append(env, "HEARTH_SERVER_MAX_BODY=32KiB")...)
	// The one request of the hour.
	if got := l.Get("/limited/1"); got.Code != http.StatusOK {
		t.Fatalf("answered %v", got)
	}
	return l
}

// head is the request's header with a content of that size.
func (r refused) head(size int, chunked bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, r.path)
	all := map[string]string{"Host": "localhost", "Content-Type": "application/json", "Content-Length": fmt.Sprint(size)}
	if chunked {
		delete(all, "Content-Length")
		all["Transfer-Encoding"] = "chunked"
	}
	for name, value := range r.headers {
		all[name] = value
	}
	for name, value := range all {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	return b.String() + "\r\n"
}

// TestRefusedByTheHeader: what the header decides is answered when the header is
// there. Nothing else is ever sent.
func TestRefusedByTheHeader(t *testing.T) {
	t.Parallel()
	l := refusing(t, "HEARTH_SERVER_READ_TIMEOUT=10m") // nobody waits for that
	for _, r := range refusedRequests {
		for _, size := range []int{1, 100, 1 << 20, 20 << 20} {
			if r.want == 413 && size < 1<<20 || r.want == 431 {
				continue
			}
			got, err := l.try(r.listener, r.head(size, false))
			if err != nil || got.StatusCode != r.want {
				t.Fatalf("%s %s of %d bytes on the %s listener: %v, %v, want %d", r.method, r.path, size, r.listener, got, err, r.want)
			}
			if r.want == 413 {
				continue
			}
			if got, err = l.try(r.listener, r.head(0, true)); err != nil || got.StatusCode != r.want {
				t.Fatalf("%s %s in chunks on the %s listener: %v, %v, want %d", r.method, r.path, r.listener, got, err, r.want)
			}
		}
	}
	// The admin listener's 413, and what is asked before it is sent.
	too := refused{"admin", "POST", "/api/invalidate", map[string]string{"Authorization": "Bearer " + adminToken}, 413}
	if got, err := l.try("admin", too.head(2<<20, false)); err != nil || got.StatusCode != too.want {
		t.Fatalf("%v, %v, want %d", got, err, too.want)
	}
	for _, r := range append(refusedRequests, too) {
		if r.headers["Expect"] != "" || r.want == 431 || r.want == 413 && r.listener == "public" {
			continue
		}
		head := strings.Replace(r.head(2<<20, false), "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1)
		if got, err := l.try(r.listener, head); err != nil || got.StatusCode != r.want {
			t.Fatalf("%s %s on the %s listener, asked before: %v, %v, want %d", r.method, r.path, r.listener, got, err, r.want)
		}
	}
}

// TestSmallContentLeavesTheConnection: content that nobody wants is dropped where it
// is little, and the next request on the connection is served, whether it comes at
// once or in pieces.
func TestSmallContentLeavesTheConnection(t *testing.T) {
	t.Parallel()
	l := refusing(t)
	for _, r := range refusedRequests {
		if r.want == 413 || r.want == 417 || r.want == 431 {
			continue
		}
		for _, size := range []int{1, 5000, 200 << 10} {
			conn, err := l.dial(r.listener)
			must(t, err)
			in := bufio.NewReader(conn)
			for range 2 {
				if _, err := io.WriteString(conn, r.head(size, false)); err != nil {
					t.Fatal(err)
				}
				if size > 1 {
					_, _ = io.WriteString(conn, strings.Repeat("x", size/2))
				}
				expected{status: r.want}.check(t, in, false)
				_, _ = io.WriteString(conn, strings.Repeat("x", size-size/2*min(size-1, 1)))
			}
			_, _ = io.WriteString(conn, canary)
			got, err := http.ReadResponse(in, nil)
			if err != nil || got.StatusCode != 404 && got.StatusCode != 401 {
				t.Errorf("behind %s %s of %d bytes on the %s listener: %v, %v", r.method, r.path, size, r.listener, got, err)
			}
			_ = conn.Close()
		}
	}
}

// sendFirst sends all of a request before it reads, and returns the status.
func sendFirst(conn net.Conn, head string, size int, chunked bool) (int, error) {
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(launch.Patience)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return 0, fmt.Errorf("sending the header: %w", err)
	}
	piece := strings.Repeat("x", 64<<10)
	for left := size; left > 0; left -= len(piece) {
		text := piece[:min(left, len(piece))]
		if chunked {
			text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return 0, fmt.Errorf("sending the content, of which %d bytes are left: %w", left, err)
		}
	}
	if chunked {
		if _, err := io.WriteString(conn, "0\r\n\r\n"); err != nil {
			return 0, err
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// sizesOfContent are those that the kernel's buffers take, and those they do not.
func sizesOfContent() []int {
	if testkit.Long() {
		return []int{64 << 10, 700 << 10, 3 << 20, 20 << 20}
	}
	return []int{64 << 10, 20 << 20}
}

func timesEach() int {
	if testkit.Long() {
		return 10
	}
	return 1
}

// TestAnswersReachWhoIsStillSending sends every request that is refused by its header
// with content of all sizes, all of it before a byte of the answer is read. Each
// gets its answer, and readers beside them lose nothing.
func TestAnswersReachWhoIsStillSending(t *testing.T) {
	t.Parallel()
	l := refusing(t)
	var read atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			if got := l.Get("/user/1"); got.Code != http.StatusOK {
				t.Errorf("a reader beside them is answered %v", got)
			}
			read.Add(1)
		}
	}()
	for _, r := range refusedRequests {
		for _, size := range sizesOfContent() {
			for _, chunked := range []bool{false, true} {
				for range timesEach() {
					conn, err := l.dial(r.listener)
					must(t, err)
					if got, err := sendFirst(conn, r.head(size, chunked), size, chunked); err != nil || got != r.want {
						t.Errorf("%s %s of %d bytes, chunked %v, on the %s listener: %d, %v, want %d", r.method, r.path, size, chunked, r.listener, got, err, r.want)
					}
				}
			}
		}
	}
	close(done)
	<-ended
	if read.Load() == 0 {
		t.Error("nobody has read")
	}
}

// TestAnswersReachWhoIsStillSendingElsewhere is the same through TLS, the PROXY protocol
// and unix sockets, and for connections beyond the limit.
func TestAnswersReachWhoIsStillSendingElsewhere(t *testing.T) {
	t.Parallel()
	each := func(name string, dial func() (net.Conn, error), all ...refused) {
		t.Run(name, func(t *testing.T) {
			for _, r := range all {
				for i, size := range sizesOfContent() {
					for range timesEach() {
						conn, err := dial()
						must(t, err)
						if got, err := sendFirst(conn, r.head(size, i%2 == 1), size, i%2 == 1); err != nil || got != r.want {
							t.Errorf("%s %s of %d bytes: %d, %v, want %d", r.method, r.path, size, got, err, r.want)
						}
					}
				}
			}
		})
	}
	writes := []refused{
		{"public", "POST", "/nowhere", nil, 404},
		{"public", "POST", "/user/1", nil, 405},
		{"public", "PUT", "/user/1", nil, 405},
		{"public", "POST", "/nowhere", map[string]string{"X Y": "z"}, 400},
		{"public", "POST", "/nowhere", map[string]string{"X-Large": strings.Repeat("x", largeHeader)}, 431},
	}
	s := startSecured(t, nil)
	each("TLS", func() (net.Conn, error) { return s.visit(s.trusting()) }, writes...)
	p := startProxied(t, `"127.0.0.1/32"`)
	n := 0
	each("PROXY", func() (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", p.Public, launch.Patience)
		if err == nil {
			n++ // each client may ask once
			_, err = fmt.Fprintf(conn, "PROXY TCP4 10.1.%d.%d 127.0.0.1 1 2\r\n", n/250, n%250)
		}
		return conn, err
	}, writes...)
	unix := launch.Ready(t, "[server]\nmax_in_flight = 1\n")
	over := func(addr string) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			return net.DialTimeout("unix", strings.TrimPrefix(addr, "unix:"), launch.Patience)
		}
	}
	each("unix", over(unix.Public), refused{"public", "POST", "/nowhere", nil, 404}, refused{"public", "POST", "/", nil, 405})
	each("unix, for operators", over(unix.Admin), refused{"admin", "POST", "/nowhere", nil, 404}, refused{"admin", "POST", "/livez", nil, 405})

	const most = 1024 // with max_in_flight = 1
	for name, addr := range map[string]string{"public": unix.Public, "admin": unix.Admin} {
		for range most {
			conn, err := over(addr)()
			must(t, err)
			defer func() { _ = conn.Close() }()
		}
		each("beyond the limit, "+name, over(addr), refused{name, "POST", "/", nil, 503})
	}
}

// TestLateContentFindsItsAnswer: content that comes when the time for it is over is
// dropped, and its sender finds the 408.
func TestLateContentFindsItsAnswer(t *testing.T) {
	t.Parallel()
	l := listen(t, "HEARTH_SERVER_READ_TIMEOUT=100ms")
	conn, err := l.dial("public")
	must(t, err)
	in := bufio.NewReader(conn)
	const size = 5 << 20
	_, _ = io.WriteString(conn, refused{"public", "PUT", "/user/1", nil, 408}.head(size, false))
	if _, err := in.Peek(1); err != nil { // it is there, and not read
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.Repeat("x", size)); err != nil {
		t.Error(err)
	}
	expected{status: 408}.check(t, in, true)
}

// TestLargeAnswersBesideContent: a client that sends its content before it reads, and a
// server that has a large answer, do not wait for each other.
func TestLargeAnswersBesideContent(t *testing.T) {
	t.Parallel()
	l := listen(t)
	large := `[{"id":"large","text":"` + strings.Repeat("x", 6<<20) + `"}]`
	if got, err := l.try("public", fmt.Sprintf("POST /batch_process HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(large), large)); err != nil || got.StatusCode != 200 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, chunked := range []bool{false, true} {
		conn, err := l.dial("public")
		must(t, err)
		const size = 7 << 20
		if got, err := sendFirst(conn, refused{"public", "GET", "/item/large", nil, 200}.head(size, chunked), size, chunked); err != nil || got != 200 {
			t.Errorf("chunked %v: %d, %v", chunked, got, err)
		}
	}
}

// sender is a client of another language.
type sender struct {
	in  io.Writer
	out *bufio.Scanner
}

// order is what a sender takes; see testdata/senders.
type order struct {
	Host    string            `json:"host,omitempty"`
	Port    int               `json:"port,omitempty"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Size    int               `json:"size"`
	Chunked bool              `json:"chunked,omitempty"`
}

func startSender(t *testing.T, program, script string) *sender {
	t.Helper()
	cmd := exec.Command(program, filepath.Join("testdata", "senders", script))
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	must(t, errors.Join(inErr, outErr, cmd.Start()))
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	})
	return &sender{in, bufio.NewScanner(out)}
}

func (s *sender) send(o order) (string, error) {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = s.in.Write(append(line, '\n'))
	}
	if err != nil {
		return "", err
	}
	if !s.out.Scan() {
		return "", errors.Join(io.ErrUnexpectedEOF, s.out.Err())
	}
	return s.out.Text(), nil
}

// TestAnswersReachOtherClients is TestAnswersReachWhoIsStillSending through the clients
// that others use: Python's sends everything before it reads, node's as much as it
// can.
func TestAnswersReachOtherClients(t *testing.T) {
	t.Parallel()
	python := testkit.Need(t, "python3", []string{"/usr/bin/python3", "python3"})
	node := testkit.Need(t, "nodejs", []string{"node", "nodejs"})
	l := refusing(t)
	for _, client := range []struct{ name, program, script string }{{"python", python, "send.py"}, {"node", node, "send.js"}} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := startSender(t, client.program, client.script)
			for i, r := range refusedRequests {
				for j, size := range sizesOfContent() {
					for range timesEach() {
						host, port, _ := net.SplitHostPort(l.addr(r.listener))
						headers := map[string]string{"Content-Type": "application/json"}
						for name, value := range r.headers {
							headers[name] = value
						}
						o := order{Host: host, Method: r.method, Path: r.path, Headers: headers, Size: size, Chunked: (i+j)%2 == 1}
						_, _ = fmt.Sscan(port, &o.Port)
						if got, err := s.send(o); err != nil || got != fmt.Sprint(r.want) {
							t.Errorf("%s %s of %d bytes, chunked %v, on the %s listener: %q, %v, want %d", r.method, r.path, size, o.Chunked, r.listener, got, err, r.want)
						}
					}
				}
			}
		})
	}
}
