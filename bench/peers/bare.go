package peers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/testkit"
)

// reference is an answer of Hearth that the bare handler repeats.
type reference struct {
	Code    int
	Headers [][2]string // without Date and Content-Length, which fasthttp writes
	Body    string
}

// bareName is the first argument of a program that shall be the bare handler.
const bareName = "bare"

// Main lets a program be the bare handler, which Servers start from their own binary: it
// does not return where the arguments ask for that.
func Main() {
	if len(os.Args) == 4 && os.Args[1] == bareName {
		fmt.Fprintln(os.Stderr, serveBare(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
}

// serveBare answers every request with one constant, as cheaply as fasthttp
// allows: the floor for anything built on it. It runs as a process of its own.
func serveBare(addr, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("reading the answer to repeat: %w", err)
	}
	type header struct{ name, value []byte }
	var headers []header
	var contentType []byte
	for _, h := range r.Headers {
		if h[0] == fasthttp.HeaderContentType {
			contentType = []byte(h[1])
			continue
		}
		headers = append(headers, header{[]byte(h[0]), []byte(h[1])})
	}
	body := []byte(r.Body)
	server := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetContentTypeBytes(contentType)
			for i := range headers {
				ctx.Response.Header.SetCanonical(headers[i].name, headers[i].value)
			}
			ctx.Response.SetStatusCode(r.Code)
			ctx.Response.SetBodyRaw(body)
		},
	}
	return server.ListenAndServe(addr)
}

// reference takes down what Hearth answers, for the bare handler to repeat.
func (s *Servers) reference(tb testkit.TB, hearth *Peer) reference {
	conn, err := hearth.ask(http.MethodGet, hearth.First(), "")
	if err != nil {
		tb.Fatal(err)
	}
	r := reference{Code: conn.Answer.StatusCode(), Body: string(conn.Answer.Body())}
	for name, value := range conn.Answer.Header.All() {
		if name := string(name); name != "Date" && name != "Content-Length" && name != "Connection" {
			r.Headers = append(r.Headers, [2]string{name, string(value)})
		}
	}
	slices.SortFunc(r.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return r
}

// startBare starts this program once more, to repeat what Hearth answers.
func (s *Servers) startBare(tb testkit.TB) {
	text, err := json.Marshal(s.reference(tb, s.Peers[0]))
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(s.Dir, "answer.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := s.newPeer(tb, "bare")
	s.start(tb, p, testkit.Command{Env: []string{"GOMAXPROCS=1"}, Argv: []string{self, bareName, p.Addr, file}})
}
