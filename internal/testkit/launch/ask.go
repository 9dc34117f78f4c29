package launch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Reply is what an instance said to one request.
type Reply struct {
	Code   int
	Body   string
	Tiers  string // Cache-Status
	Header http.Header
	Err    error // instead of all that: nobody answered
}

func (r Reply) String() string {
	if r.Err != nil {
		return "by nobody: " + r.Err.Error()
	}
	return fmt.Sprintf("%d %s (Cache-Status %q)", r.Code, r.Body, r.Tiers)
}

// Unmarked tells whether the answer claims to be true now.
func (r Reply) Unmarked() bool { return Unmarked(r.Tiers) }

// FromMemory tells whether it is a copy in the instance's own memory that claims to
// be true now.
func (r Reply) FromMemory() bool {
	return strings.HasPrefix(r.Tiers, "Hearth-Memory; hit") && r.Unmarked()
}

// Unmarked tells whether a Cache-Status is that of an answer that claims to be true
// now.
func Unmarked(tiers string) bool {
	return !strings.Contains(tiers, "detail=stale") && !strings.Contains(tiers, "detail=untracked")
}

// Get asks for a path of the public listener. Like all that ask, it may be called
// from any goroutine.
func (in *Instance) Get(path string) Reply { return in.Ask(http.MethodGet, path, "") }

// Ask sends one request to the public listener, its body as JSON, with header lines
// such as "If-Match: *", and waits for the answer.
func (in *Instance) Ask(method, path, body string, header ...string) Reply {
	return in.send("public", method, path, body, header)
}

// AskAdmin is Ask to the admin listener.
func (in *Instance) AskAdmin(method, path, body string, header ...string) Reply {
	return in.send("admin", method, path, body, header)
}

// Begin is Ask that does not wait.
func (in *Instance) Begin(method, path, body string, header ...string) <-chan Reply {
	said := make(chan Reply, 1)
	go func() { said <- in.Ask(method, path, body, header...) }()
	return said
}

func (in *Instance) send(listener, method, path, body string, header []string) Reply {
	req, err := http.NewRequest(method, "http://"+listener+path, strings.NewReader(body))
	if err != nil {
		return Reply{Err: err}
	}
	req.Host = "localhost"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := in.HTTP.Do(req)
	if err != nil {
		return Reply{Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return Reply{Code: resp.StatusCode, Body: string(text), Tiers: resp.Header.Get("Cache-Status"), Header: resp.Header, Err: err}
}

// Conn is one keep-alive connection to the public listener, for what a pool hides.
// It is not safe for concurrent use.
type Conn struct {
	net.Conn
	In       *bufio.Reader
	Response fasthttp.Response // the latest
}

// connPatience bounds each step on a Conn. It is longer than Patience since crowds
// of them are made at once.
const connPatience = time.Minute

// Dial opens a connection, which the caller closes.
func (in *Instance) Dial() (*Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connPatience)
	defer cancel()
	conn, err := dial(ctx, in.Public)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn, In: bufio.NewReader(conn)}, nil
}

// MustDial is Dial whose failure ends the test, and whose connection is closed
// with it.
func (in *Instance) MustDial() *Conn {
	in.tb.Helper()
	c, err := in.Dial()
	if err != nil {
		in.tb.Fatal(err)
	}
	in.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Ask sends a request without or with a JSON body, and waits for the answer, whose
// header is in Response.
func (c *Conn) Ask(method, target, body string) Reply {
	if err := c.SetDeadline(time.Now().Add(connPatience)); err != nil {
		return Reply{Err: err}
	}
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, target, len(body), body); err != nil {
		return Reply{Err: err}
	}
	if err := c.Response.Read(c.In); err != nil {
		return Reply{Err: err}
	}
	return Reply{
		Code: c.Response.StatusCode(), Body: string(c.Response.Body()), Tiers: string(c.Response.Header.Peek("Cache-Status")),
	}
}

// Get asks for a path.
func (c *Conn) Get(path string) Reply { return c.Ask(http.MethodGet, path, "") }
