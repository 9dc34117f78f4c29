package testkit

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
)

// Origin is an HTTP server that a test writes the answers of, byte by byte: what
// servers in the field send by mistake, no library sends. It reads requests by the
// rules and counts them.
type Origin struct {
	listener net.Listener
	scheme   string

	mu       sync.Mutex
	play     map[string]func(*Exchange) // by "METHOD /path", or "/path"
	requests []*Exchange
	open     map[net.Conn]bool
	conns    int
	over     bool
	running  sync.WaitGroup
}

// Exchange is one request to an Origin and its answer.
type Exchange struct {
	*http.Request
	Content string // the request's body
	Number  int    // of the connection that it came on, from 1
	conn    net.Conn
	ended   bool
}

// Send sends bytes as they are.
func (x *Exchange) Send(raw string) { _, _ = io.WriteString(x.conn, raw) }

// End closes the connection behind what was sent.
func (x *Exchange) End() { x.ended = true }

// Reset breaks the connection: what was sent may get lost.
func (x *Exchange) Reset() {
	x.ended = true
	if tcp, ok := x.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// StartOrigin starts an Origin on a free port of loopback, with TLS if it gets a
// certificate.
func StartOrigin(tb TB, cert ...tls.Certificate) *Origin {
	tb.Helper()
	return StartOriginAt(tb, "127.0.0.1:0", cert...)
}

// StartOriginAt starts one at an address.
func StartOriginAt(tb TB, address string, cert ...tls.Certificate) *Origin {
	tb.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	o := &Origin{listener: listener, scheme: "http", play: map[string]func(*Exchange){}, open: map[net.Conn]bool{}}
	if len(cert) > 0 {
		o.scheme = "https"
		o.listener = tls.NewListener(listener, &tls.Config{Certificates: cert, MinVersion: tls.VersionTLS12})
	}
	o.running.Go(o.accept)
	tb.Cleanup(o.Close)
	return o
}

// Address is host and port, URL what an origin's URL begins with.
func (o *Origin) Address() string { return o.listener.Addr().String() }

// URL is explained with Address.
func (o *Origin) URL() string { return o.scheme + "://" + o.Address() }

// Play has requests answered by f: those for "/path", or for "PUT /path" alone. What
// nothing is written for gets 404.
func (o *Origin) Play(what string, f func(*Exchange)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.play[what] = f
}

// Answer has requests answered with these bytes.
func (o *Origin) Answer(what, raw string) { o.Play(what, func(x *Exchange) { x.Send(raw) }) }

// Requests are all that came, in their order.
func (o *Origin) Requests() []*Exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*Exchange(nil), o.requests...)
}

// Asked is how many requests of a method came for a path.
func (o *Origin) Asked(method, path string) (n int) {
	for _, x := range o.Requests() {
		if x.Method == method && x.URL.Path == path {
			n++
		}
	}
	return n
}

// Conns is how many connections were made.
func (o *Origin) Conns() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}

// Cut breaks all connections.
func (o *Origin) Cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for conn := range o.open {
		_ = conn.Close()
	}
}

// Close ends the server and all connections.
func (o *Origin) Close() {
	o.mu.Lock()
	o.over = true
	o.mu.Unlock()
	_ = o.listener.Close()
	o.Cut()
	o.running.Wait()
}

func (o *Origin) accept() {
	for {
		conn, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns++
		number := o.conns
		if o.over {
			_ = conn.Close()
		} else {
			o.open[conn] = true
			o.running.Go(func() { o.serve(conn, number) })
		}
		o.mu.Unlock()
	}
}

func (o *Origin) serve(conn net.Conn, number int) {
	defer func() {
		_ = conn.Close()
		o.mu.Lock()
		delete(o.open, conn)
		o.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		x := &Exchange{Request: req, Number: number, conn: conn}
		content, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		x.Content = string(content)
		o.mu.Lock()
		o.requests = append(o.requests, x)
		play := o.play[req.Method+" "+req.URL.Path]
		if play == nil {
			play = o.play[req.URL.Path]
		}
		o.mu.Unlock()
		if play == nil {
			play = func(x *Exchange) { x.Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") }
		}
		play(x)
		if x.ended || req.Close {
			return
		}
	}
}
