package test

import (
	"bufio"
	"bytes"
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
	"testing"
	"time"

	"hearth/internal/testkit/launch"
)

// listeners is an instance whose listeners are TCP ports, as browsers and balancers
// reach them.
type listeners struct{ *launch.Instance }

// listen starts one with the demo's configuration and the embedded tier. env
// overrides keys.
func listen(tb testing.TB, env ...string) listeners {
	tb.Helper()
	return listenWith(tb, launch.Demo(tb), env...)
}

func listenWith(tb testing.TB, config string, env ...string) listeners {
	tb.Helper()
	return listeners{launch.Program{Config: config, Env: env, Public: launch.Port, Admin: launch.Port}.Ready(tb)}
}

// addr is where the listener of that name listens, public or admin.
func (l listeners) addr(listener string) string {
	return map[string]string{"public": l.Public, "admin": l.Admin}[listener]
}

func (l listeners) dial(listener string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", l.addr(listener), launch.Patience)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(launch.Patience))
}

// try sends bytes on a connection of its own and returns the first answer, its
// body read.
func (l listeners) try(listener, request string) (*http.Response, error) {
	conn, err := l.dial(listener)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}

// canary goes behind every case. Its answer is one that no other request gets.
const canary = "GET /canary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// TestHTTP plays testdata/http against the program, byte for byte.
func TestHTTP(t *testing.T) {
	t.Parallel()
	l := listen(t, "HEARTH_SERVER_READ_TIMEOUT=3s", "HEARTH_SERVER_MAX_BODY=1MiB")
	await(t, "memory answers", func() bool { return l.Get("/user/1").FromMemory() })
	post := map[string]string{"public": "/batch_process", "admin": "/api/invalidate"}
	for _, c := range readCorpus(t) {
		for _, x := range c.cases {
			for _, listener := range []string{"public", "admin"} {
				if !x.on(listener) {
					continue
				}
				t.Run(strings.Join([]string{x.file, x.title, listener}, "/"), func(t *testing.T) {
					t.Parallel()
					x := x // each listener has its own
					x.sent = strings.ReplaceAll(x.sent, "$post", post[listener])
					x.play(t, l, listener)
				})
			}
		}
	}
}

func (x exchange) play(t *testing.T, l listeners, listener string) {
	conn, err := l.dial(listener)
	must(t, err)
	defer func() { _ = conn.Close() }()
	sent := x.sent
	if !x.alone {
		sent += canary
	}
	// A refusal may come, and close, before all of it is written.
	_, _ = io.WriteString(conn, sent)
	if x.end {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	in := bufio.NewReader(conn)
	for i, want := range x.answers {
		last := i == len(x.answers)-1
		want.check(t, in, last && !x.open && !x.quiet)
	}
	if x.open {
		expected{status: http.StatusNotFound}.check(t, in, true)
	}
	rest, err := io.ReadAll(in)
	if len(rest) > 0 || err != nil { // not even a reset: the connection ends in stages
		t.Errorf("behind the last answer: got %.200q and %v, want the connection's end", rest, err)
	}
}

// check reads one answer and compares it. closing says that it has to announce
// the connection's end, and otherwise must not.
func (e expected) check(t *testing.T, in *bufio.Reader, closing bool) {
	t.Helper()
	method := http.MethodGet
	if e.head {
		method = http.MethodHead
	}
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer that should be %d: %v", e.status, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the body of the answer that should be %d: %v", e.status, err)
	}
	if resp.StatusCode != e.status || resp.StatusCode >= 200 && resp.Close != closing {
		t.Fatalf("got %d, closing %v, %s\nwant %d, closing %v", resp.StatusCode, resp.Close, body, e.status, closing)
	}
	if media := resp.Header.Get("Content-Type"); e.status >= 400 && (media != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store") {
		t.Errorf("an error comes as %q, kept under %q", media, resp.Header.Get("Cache-Control"))
	}
	for _, want := range e.want {
		if fault := e.compare(resp.Header, string(body), want); fault != "" {
			t.Errorf("%d %s, %v: %s", resp.StatusCode, body, resp.Header, fault)
		}
	}
}

// compare holds an answer against one line below its status in the case.
func (e expected) compare(header http.Header, body, want string) (fault string) {
	if words, ok := strings.CutPrefix(want, "~ "); ok {
		if !strings.Contains(body, words) {
			return fmt.Sprintf("the body lacks %q", words)
		}
		return ""
	}
	if name, ok := strings.CutPrefix(want, "!"); ok {
		if values := header.Values(name); len(values) > 0 {
			return fmt.Sprintf("%s is %q", name, values)
		}
		return ""
	}
	name, value, exact := strings.Cut(want, ": ")
	values := header.Values(name)
	if len(values) == 0 || exact && !slices.Contains(values, value) {
		return fmt.Sprintf("%s is %q, want %q", name, values, value)
	}
	return ""
}

// exchange is one case of testdata/http: bytes for a connection, and what comes
// back. Its file is written for people; a case is
//
//	== a title
//	# comments
//	rfc: 9112, 6.3
//	at: public admin     (the listeners; public if it is left out)
//	> a line that is sent, with CR LF
//	> a line that is sent without, and \r \n \t \0 \xff \\ {x*9000} in it\
//	< 200
//	  Name: value        (or Name, !Name, ~ words of the body)
//	closed
//
// $post is a path that takes POST on either listener. The last line says what
// becomes of the connection. Behind the bytes of each case goes a request for
// /canary, which must be answered if the connection is open and must not if it
// is closed; "alone" leaves it out, "alone close" ends the sending instead.
// "closed quietly" is a connection that ends without an answer having said so.
type exchange struct {
	file, title, rfc string
	at               []string
	sent             string
	alone, end       bool
	answers          []expected
	open, quiet      bool
}

// expected is one answer.
type expected struct {
	status int
	head   bool
	want   []string // lines below it
}

// chapter is one file of the corpus.
type chapter struct {
	title, intro string
	cases        []exchange
}

func readCorpus(t *testing.T) []chapter {
	t.Helper()
	var all []chapter
	for _, name := range []string{"framing", "chunked", "lines", "requestline", "host", "size", "connection", "content", "freshness"} {
		text, err := os.ReadFile(filepath.Join("testdata", "http", name+".txt"))
		must(t, err)
		c, err := parseChapter(name+".txt", string(text))
		must(t, err)
		all = append(all, c)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "http", "*.txt"))
	if err != nil || len(files) != len(all) {
		t.Fatalf("%d files of %d are read: name them in readCorpus (%v)", len(all), len(files), err)
	}
	return all
}

func parseChapter(file, text string) (chapter, error) {
	head, rest, _ := strings.Cut(text, "\n== ")
	var c chapter
	lines := strings.Split(strings.ReplaceAll(head, "# ", ""), "\n")
	c.title = lines[0]
	c.intro = strings.Trim(strings.ReplaceAll(strings.Join(lines[1:], "\n"), "#\n", "\n"), "\n# ")
	titles := map[string]bool{}
	for i, part := range strings.Split(rest, "\n== ") {
		x, err := parseExchange(part)
		if err == nil && titles[x.title] {
			err = fmt.Errorf("title %q is given twice", x.title)
		}
		if err != nil {
			return c, fmt.Errorf("%s, case %d: %w", file, i+1, err)
		}
		x.file, titles[x.title] = file, true
		c.cases = append(c.cases, x)
	}
	return c, nil
}

func parseExchange(text string) (exchange, error) {
	title, rest, _ := strings.Cut(text, "\n")
	x := exchange{title: title, at: []string{"public"}}
	ended := false
	for _, line := range strings.Split(rest, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "#", "":
			if strings.TrimSpace(line) != "" && key == "" {
				if len(x.answers) == 0 {
					return x, fmt.Errorf("%q belongs to no answer", line)
				}
				last := &x.answers[len(x.answers)-1]
				last.want = append(last.want, strings.TrimSpace(line))
			}
		case "rfc:":
			x.rfc = value
		case "at:":
			x.at = strings.Fields(value)
		case ">":
			sent, err := unescape(value)
			if err != nil {
				return x, fmt.Errorf("%q: %w", line, err)
			}
			x.sent += sent
		case "<":
			code, head, _ := strings.Cut(value, " ")
			status, err := strconv.Atoi(code)
			if err != nil {
				return x, err
			}
			x.answers = append(x.answers, expected{status: status, head: head == "HEAD"})
		case "alone":
			x.alone, x.end = true, value == "close"
		case "open", "closed":
			x.open, x.quiet, ended = key == "open", value == "quietly", true
		default:
			return x, fmt.Errorf("%q is no line of a case", line)
		}
	}
	if !ended || x.rfc == "" || len(x.at) == 0 {
		return x, fmt.Errorf("%q must have rfc: and end with open or closed", x.title)
	}
	return x, nil
}

var repeats = regexp.MustCompile(`\{([^{}*]+)\*([0-9]+)\}`)

// unescape turns a line of a case into the bytes it stands for.
func unescape(line string) (string, error) {
	line = repeats.ReplaceAllStringFunc(line, func(m string) string {
		parts := repeats.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
	var b bytes.Buffer
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			b.WriteByte(line[i])
			continue
		}
		if i++; i == len(line) {
			return b.String(), nil // without CR LF
		}
		switch at := strings.IndexByte(`rnt0\`, line[i]); {
		case at >= 0:
			b.WriteByte("\r\n\t\x00\\"[at])
		case line[i] == 'x' && i+2 < len(line):
			n, err := strconv.ParseUint(line[i+1:i+3], 16, 8)
			if err != nil {
				return "", err
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", fmt.Errorf("%q is no escape", line[i-1:i+1])
		}
	}
	return b.String() + "\r\n", nil
}

// on tells whether the case is played on a listener.
func (x exchange) on(listener string) bool { return slices.Contains(x.at, listener) }
