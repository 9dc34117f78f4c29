package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// origin is an HTTP server behind one Redis to which nothing happens. Its rows are
// changed by PUT, and by other programs there, which delete the keys then.
type origin struct {
	*harness
	calmly *testkit.RedisServer
	addr   string
	server *originServer // that listens now
	mood   atomic.Int64  // how it answers

	mu   sync.Mutex
	rows map[int64]int64
}

// The moods of an origin.
const (
	well = iota
	failing
	slow
	cutting
	lying
	elsewhere // redirects to where the record is
)

func (e *origin) start(h *harness) setup {
	e.harness, e.calmly, e.rows = h, testkit.Redis(h.tb), map[int64]int64{}
	e.addr = fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(h.tb))
	e.listen()
	return setup{instances: 2, redis: e.calmly.URL(), foreign: true, tables: fmt.Sprintf(`
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
timeout = "1s"
origin = "http://%s/row/{id}"
origin_writes = ["PUT"]
`, e.addr)}
}

func (e *origin) faults() []fault {
	return []fault{
		{"origin fails with 500", e.in(failing)},
		{"origin is slow", e.in(slow)},
		{"origin cuts answers off", e.in(cutting)},
		{"origin lies about lengths", e.in(lying)},
		{"origin redirects", e.in(elsewhere)},
		{"origin away", e.away},
		{"origin's connections deaf, a new server in its place", e.replace},
		{"instance 1 frozen", e.freezeInstance(0)},
	}
}

func (e *origin) recovered() error { return nil }

func (e *origin) outside() outsider {
	return originClient{outside.One(e.calmly), e}
}

// originClient changes rows in the origin.
type originClient struct {
	*outside.Client
	origin *origin
}

func (c originClient) change(id, version int64) {
	c.origin.mu.Lock()
	defer c.origin.mu.Unlock()
	c.origin.rows[id] = version
}

// in lets the origin be in a mood for a while.
func (e *origin) in(mood int64) func() {
	return func() {
		e.mood.Store(mood)
		e.pause(100, 3000)
		e.mood.Store(well)
	}
}

// away ends the origin for a while.
func (e *origin) away() {
	_ = e.server.Close()
	e.pause(100, 3000)
	e.listen()
}

// replace lets another server listen in the origin's place. Connections to the one
// before stay open, and nothing is answered on them.
func (e *origin) replace() {
	e.server.deaf.Store(true)
	_ = e.server.listener.Close()
	e.listen()
}

// originServer is one that listens at the origin's address, or has done so.
type originServer struct {
	http.Server
	listener net.Listener
	deaf     atomic.Bool    // nothing is answered any more
	handling sync.WaitGroup // requests

	mu    sync.Mutex
	ended bool // no request is begun any more
}

// listen starts a server at the origin's address.
func (e *origin) listen() {
	listener, err := net.Listen("tcp", e.addr)
	if err != nil {
		e.tb.Fatalf("starting the origin: %v", err)
	}
	s := &originServer{listener: listener}
	s.ReadHeaderTimeout = time.Minute
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			panic(http.ErrAbortHandler)
		}
		defer s.handling.Done()
		if s.deaf.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // a server looks after the connection once it has the body
			<-r.Context().Done()               // until the connection is closed
			return
		}
		e.answer(w, r)
	})
	e.server = s
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(listener) }) // it ends when the listener is closed
	e.tb.Cleanup(func() { s.end(); running.Wait() })
}

// begin counts a request that is being answered. It is false once the server has ended.
func (s *originServer) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.handling.Add(1)
	}
	return !s.ended
}

// end closes the server and its connections, and waits for what was being answered on them:
// Close alone waits for nothing.
func (s *originServer) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	_ = s.Close()
	s.handling.Wait()
}

// answer answers one request, in the mood of the moment.
func (e *origin) answer(w http.ResponseWriter, r *http.Request) {
	dir, name := path.Split(r.URL.Path)
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	mood := e.mood.Load()
	if r.Method == http.MethodPut && (mood == well || mood == lying || mood == slow) { // else it is not done
		var sent struct{ V int64 }
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		originClient{origin: e}.change(id, sent.V)
	}
	e.mu.Lock()
	version := e.rows[id]
	e.mu.Unlock()
	body := fmt.Sprintf(`{"id":%d,"v":%d}`, id, version)
	if version == 0 && r.Method == http.MethodGet {
		http.NotFound(w, r)
		return
	}
	switch mood {
	case failing:
		http.Error(w, "no", http.StatusInternalServerError)
		return
	case slow:
		testkit.Sleep(r.Context(), 2*time.Second)
	case cutting:
		panic(http.ErrAbortHandler) // closes the connection, and prints nothing
	case lying: // the rest never comes
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	case elsewhere:
		if dir == "/row/" {
			http.Redirect(w, r, "/moved/"+name, http.StatusTemporaryRedirect)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}
