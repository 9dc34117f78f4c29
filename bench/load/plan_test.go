package load

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// answering is a server that calls the handler; it ends with the test.
func answering(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func get(out []byte, _ *rand.Rand) []byte {
	return append(out, "GET / HTTP/1.1\r\nHost: load\r\n\r\n"...)
}

// TestClosedLoop: as many requests as connections are under way, and each that is
// answered within the time is counted.
func TestClosedLoop(t *testing.T) {
	body := strings.Repeat("x", 300_000) // more than is read at once
	var now, most, all atomic.Int64
	addr := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		all.Add(1)
		for n := now.Add(1); n > most.Load(); {
			most.Store(n)
		}
		now.Add(-1)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	})
	marks := 0
	mark := func() error { marks++; return nil }
	found, err := Plan{Addr: addr, Connections: 5, For: 100 * time.Millisecond, Request: get, Answer: HTTPAnswer, Begin: mark, End: mark}.Run()
	if err != nil {
		t.Fatal(err)
	}
	// At the end each connection has a request under way, which is waited for and not counted.
	if left := all.Load() - found.Answered; left < 0 || left > 5 || found.Latencies.N != found.Answered || marks != 2 || found.Elapsed < 50*time.Millisecond {
		t.Errorf("%d of %d requests are counted within %v, with %d latencies, %d marks", found.Answered, all.Load(), found.Elapsed, found.Latencies.N, marks)
	}
	if most.Load() > 5 {
		t.Errorf("%d requests at a time over 5 connections", most.Load())
	}
}

// TestClosedLoopOfSoMany ends with the last of them.
func TestClosedLoopOfSoMany(t *testing.T) {
	var all atomic.Int64
	addr := answering(t, func(http.ResponseWriter, *http.Request) { all.Add(1) })
	found, err := Plan{Addr: addr, Connections: 3, For: time.Minute, Most: 100, Request: get, Answer: HTTPAnswer}.Run()
	if err != nil || found.Answered != 100 || all.Load() != 100 || found.Elapsed <= 0 || found.Elapsed > time.Minute {
		t.Errorf("%+v, %v; %d have come, want 100", found, err, all.Load())
	}
}

// TestOpenLoopLeavesNothingOut: while the server holds one answer back, requests become
// due all the same, and their latencies count from then on. A loop that waited for the
// answer would have had one slow request.
func TestOpenLoopLeavesNothingOut(t *testing.T) {
	const hold = 100 * time.Millisecond
	var all atomic.Int64
	addr := answering(t, func(http.ResponseWriter, *http.Request) {
		if all.Add(1) == 20 {
			testkit.Sleep(context.Background(), hold)
		}
	})
	found, err := Plan{Addr: addr, Connections: 1, Rate: 1000, For: 300 * time.Millisecond, Seed: 7, Request: get, Answer: HTTPAnswer}.Run()
	if err != nil {
		t.Fatal(err)
	}
	// How many are due depends on the seed alone.
	if found.Answered != all.Load() || found.Answered != found.Latencies.N || found.Answered < 200 || found.Answered > 400 {
		t.Errorf("%d requests are counted, %d have come, %d have latencies; want about 300 of each", found.Answered, all.Load(), found.Latencies.N)
	}
	if slow := found.Answered - found.Latencies.Within(hold/2); slow < 20 || found.Waiting < 20 {
		t.Errorf("%d requests were slow, %d waited; want each that was due while the server stood still, about 50", slow, found.Waiting)
	}
}

// TestPlansFail: what is no answer, and nobody there.
func TestPlansFail(t *testing.T) {
	f := func(want, addr string) {
		t.Helper()
		_, err := Plan{Addr: addr, Connections: 2, Rate: 1000, For: 50 * time.Millisecond, Request: get, Answer: HTTPAnswer}.Run()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("404", answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	f("ended a connection", answering(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	f("refused", listener.Addr().String())
}

func TestFrames(t *testing.T) {
	f := func(frame func([]byte) (int, error), in string, want int, wantErr string) {
		t.Helper()
		got, err := frame([]byte(in))
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %d, %v, want %d, %q", in, got, err, want, wantErr)
		}
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\n\r\n"
	f(HTTPAnswer, "HTTP/1.1 200", 0, "")
	f(HTTPAnswer, head+"ab", 0, "")
	f(HTTPAnswer, head+"abc", len(head)+3, "")
	f(HTTPAnswer, head+"abcd", len(head)+3, "")
	f(HTTPAnswer, "HTTP/1.1 304 Not Modified\r\n\r\n", 29, "")
	f(HTTPAnswer, "HTTP/1.1 200 OK\r\n\r\n", 0, "without a length")
	f(HTTPAnswer, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 0, "503 No")
	f(HTTPAnswer, "\r\n\r\n", 0, "answers")
	f(MemcachedAnswer, "VALUE user:1 0 3", 0, "")
	f(MemcachedAnswer, "VALUE user:1 0 3\r\nabc\r\nEND", 0, "")
	f(MemcachedAnswer, "VALUE user:1 0 3\r\nabc\r\nEND\r\n", 28, "")
	f(MemcachedAnswer, "END\r\n", 0, "END")
	f(MemcachedAnswer, "ERROR\r\n", 0, "ERROR")
}
