package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a server that reads what is wanted on each connection, and answers with the
// next of the texts.
func serve(t *testing.T, want string, answers ...string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for _, answer := range answers {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Errorf("the server got %q (%v), want %q", got, err, want)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestAnswersOfAPipeline: they come one after the other, until half of one.
func TestAnswersOfAPipeline(t *testing.T) {
	want := "GET /a HTTP/1.1\r\nHost: load\r\n\r\n" +
		"PUT /b HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n" + `{"v":7}`
	c := NewConn(serve(t, want, "HTTP/1.1 200 OK\r\nCache-Status: Hearth-Memory; hit; ttl=-2; detail=stale\r\nContent-Length: 14\r\n\r\n"+`{"id":1,"v":7}`+
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"+"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"+`{"v":`), time.Minute)
	c.Queue("GET", "/a", "")
	c.Queue("PUT", "/b", `{"v":7}`)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		code int
		tier Tier
		v    int64
	}{{200, Marked, 7}, {404, Source, -1}, {200, Source, -1}} {
		err := c.Next()
		if i == 2 {
			if err == nil {
				t.Error("half an answer was read")
			}
			break
		}
		if err != nil || c.Answer.StatusCode() != want.code || TierOf(c.Status()) != want.tier || c.Member(`"v":`) != want.v {
			t.Errorf("answer %d: got %v, %v, want %+v", i, c.Answer.String(), err, want)
		}
	}
}

// TestConnectionsAreReplaced: after an answer that ends one, and after an error.
func TestConnectionsAreReplaced(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
	c := NewConn(serve(t, "GET / HTTP/1.1\r\nHost: load\r\n\r\n", ok+"Connection: close\r\n\r\n", "HTTP/1.1 2", ok+"\r\n"), time.Minute)
	defer c.Close()
	for i, fails := range []bool{false, true, false} {
		if err := c.Do("GET", "/", ""); (err != nil) != fails {
			t.Errorf("request %d: %v, want an error: %v", i, err, fails)
		}
	}
}

// TestClientsStop: at the first error, and when they are told to.
func TestClientsStop(t *testing.T) {
	none := func() (all Clients) {
		for i := range 3 {
			all = append(all, &Client{Conn: NewConn("", time.Second), Number: i})
		}
		return all
	}
	want := errors.New("the first")
	err := none().each(t.Context(), func(ctx context.Context, c *Client) error {
		if c.Number == 1 {
			return want
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	end := none().Begin(t, func(ctx context.Context, c *Client) error {
		<-ctx.Done()
		c.Absent++
		return nil
	})
	end()
}

func TestAnswersAreCounted(t *testing.T) {
	answer := func(status string) string {
		return "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	}
	f := func(want string, answers ...string) {
		t.Helper()
		for i := range answers {
			answers[i] = answer(answers[i])
		}
		c := &Client{Conn: NewConn(serve(t, "GET / HTTP/1.1\r\nHost: load\r\n\r\n", answers...), time.Minute)}
		var err error
		for range answers {
			err = errors.Join(err, c.Ask("/"))
		}
		if got := c.Counts.String(); got != want || c.Times.N != int64(len(answers)) || (err != nil) != strings.HasPrefix(want, "0") {
			t.Errorf("got %q of %d, %v, want %q", got, c.Times.N, err, want)
		}
	}
	f("1 memory, 1 the database, 1 refused, 1 failed, 2 absent",
		"200 OK\r\nCache-Status: Hearth-Memory; hit; ttl=1", "200 OK", "503 No\r\nRetry-After: 1", "503 No", "404 No", "404 No")
	f("0 refused, 0 failed", "400 Bad Request")
	var a, b Counts
	a.OK[Redis], b.OK[Redis], a.Unstored = 1, 2, 3
	b.Merge(&a)
	if b.Found() != 3 || b.Unstored != 3 {
		t.Errorf("merged: %+v", b)
	}
}

func TestTiers(t *testing.T) {
	f := func(status string, want Tier) {
		t.Helper()
		if got := TierOf([]byte(status)); got != want {
			t.Errorf("%q comes from %s, want %s", status, TierNames[got], TierNames[want])
		}
	}
	f("Hearth-Memory; hit; ttl=41", Memory)
	f("Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored", Redis)
	f("Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss", Source)
	f("Hearth-Redis; fwd=miss, Hearth-Memory; fwd=miss", Source)
	f("Hearth-Memory; hit; ttl=-12; detail=stale", Marked)
	f("Hearth-Memory; fwd=miss; stored; detail=untracked", Marked)
	f("Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored; detail=untracked", Marked)
}

func TestNumbersOfAnswers(t *testing.T) {
	f := func(body, member string, want int64) {
		t.Helper()
		if got := numberIn([]byte(body), member); got != want {
			t.Errorf("%s of %s is %d, want %d", member, body, got, want)
		}
	}
	f(`{"row":{"id":1,"v":27,"stamp":5},"source":"db"}`, `"v":`, 27)
	f(`{"row":{"id":1,"v":27,"stamp":5},"source":"db"}`, `"stamp":`, 5)
	f(`{"row":{"id":1}}`, `"v":`, -1)
	f(`{"v":`, `"v":`, -1)
	f(`{"v":null}`, `"v":`, -1)
	a, b := recordIn([]byte(`{"row":{"id":1},"source":"db"}`)), recordIn([]byte(`{"row":{"id":1},"source":"cache"}`))
	if !bytes.Equal(a, b) || string(a) != `{"row":{"id":1}` {
		t.Errorf("records %q and %q, want the same", a, b)
	}
}

func TestReportOfWrk(t *testing.T) {
	f := func(out, want string) {
		t.Helper()
		r, err := parseReport(out)
		if want == "" {
			if err != nil || r.Requests != 12 || r.Elapsed != 2*time.Second || r.P50 != 3*time.Millisecond || r.P99 != 4*time.Millisecond {
				t.Errorf("%q: got %+v, %v", out, r, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", out, err, want)
		}
	}
	f("Running …\n\nresult 12 2000000 3000 4000 0 0 0 0 0\n", "")
	f("unable to connect", "no result")
	f("\nresult 12 2000000\n", "no result")
	f("\nresult 12 2000000 3000 4000 0 0 0 0 x\n", "invalid syntax")
	f("\nresult 12 2000000 3000 4000 0 0 0 0 7\n", `7 errors: "timeout"`)
	f("\nresult 12 2000000 3000 4000 0 0 0 1 0\n", `1 errors: "status"`)
	f("\nresult 0 2000000 0 0 0 0 0 0 0\n", "no answers")
}
