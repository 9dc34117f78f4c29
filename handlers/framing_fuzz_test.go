package handlers

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// What is accepted here, net/http accepts and reads in the same way: the same
// method, target and host, and the same bytes of content, so that the next
// request begins at the same byte. The fast path takes only what has no content.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"GET /user/1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nT: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2 ; a = \"b\\\"\" ;c\r\nab\r\n00;x\r\nX: y\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n Transfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\n\r\n",
		"\r\nGET http://a/x?y HTTP/1.0\r\nX Y: z\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 4<<10 {
			return
		}
		in := bufio.NewReaderSize(bytes.NewReader(wire), 8<<10)
		var ours fasthttp.Request
		if err := ours.Header.Read(in); err != nil {
			return
		}
		h := &ours.Header
		hot := (h.IsGet() || h.IsHead()) && ends(h)
		content, err := checkFraming(h)
		if err != nil {
			if hot && framing.Target(string(h.Method()), h.RequestURI()) == framing.None {
				t.Fatalf("the fast path takes what is refused with %v", err)
			}
			return
		}
		if ours.URI() == nil || uriFault(&ours) != nil || bytes.HasPrefix(h.RequestURI(), twoSlashes) {
			return // refused by fasthttp before any handler sees it, or a 404
		}
		sameReading(t, wire, &ours, in, content, hot)
	})
}

// uriFault is what fasthttp itself answers with 400.
func uriFault(r *fasthttp.Request) error {
	var u fasthttp.URI
	return u.Parse(r.Header.Host(), r.Header.RequestURI())
}

func sameReading(t *testing.T, wire []byte, ours *fasthttp.Request, in *bufio.Reader, content framing.Content, hot bool) {
	t.Helper()
	h := &ours.Header
	// net/http knows no empty lines in front, and a bare LF only behind the
	// request line is a leniency that both share.
	wire = bytes.TrimLeft(wire, "\r\n")
	theirsIn := bufio.NewReaderSize(bytes.NewReader(wire), 8<<10)
	theirs, err := http.ReadRequest(theirsIn)
	if err != nil {
		if knownDifference(err.Error()) {
			return
		}
		t.Fatalf("accepted here, and by net/http: %v", err)
	}
	if theirs.Method != string(h.Method()) || theirs.RequestURI != string(h.RequestURI()) {
		t.Fatalf("read as %s %q here, as %s %q by net/http", h.Method(), h.RequestURI(), theirs.Method, theirs.RequestURI)
	}
	if theirs.URL.Host == "" && !strings.EqualFold(theirs.Host, string(h.Host())) {
		t.Fatalf("for %q here, for %q by net/http", h.Host(), theirs.Host)
	}
	if got := len(theirs.TransferEncoding) > 0; got != content.Chunked {
		t.Fatalf("chunked is %v here, %v by net/http", content.Chunked, got)
	}
	if hot && content.Present() {
		t.Fatal("the fast path takes a request with content")
	}
	if content.Chunked {
		sameContent(t, content, in, theirs)
		return // the connection ends behind it, wherever it ends
	}
	if content.Length != theirs.ContentLength {
		t.Fatalf("content of %d bytes here, of %d by net/http", content.Length, theirs.ContentLength)
	}
	rest, _ := io.ReadAll(in)
	theirRest, _ := io.ReadAll(theirsIn)
	if !bytes.Equal(rest, theirRest) {
		t.Fatalf("behind the header come %q here, %q by net/http", rest, theirRest)
	}
}

// sameContent: what is read from chunks here, net/http reads from them, too.
func sameContent(t *testing.T, content framing.Content, in *bufio.Reader, theirs *http.Request) {
	t.Helper()
	ours, err := io.ReadAll(content.Reader(in))
	if err != nil {
		return
	}
	body, err := io.ReadAll(theirs.Body)
	// It refuses blanks before a semicolon, and has rules of its own for trailers.
	if err == nil && !bytes.Equal(ours, body) {
		t.Fatalf("the chunks hold %q here, %q to net/http", ours, body)
	}
}

// knownDifference is what net/http refuses for reasons that have nothing to do
// with where a request ends: URLs it cannot parse, and other names for the
// limits of what it supports.
func knownDifference(fault string) bool {
	for _, words := range []string{
		"invalid URL escape", "invalid userinfo", "invalid port", "invalid URI for request", "invalid character", "invalid control character",
		"first path segment in URL", "missing ']' in host", "net/url:", "parse ", "malformed Host header",
		"invalid method", "malformed HTTP request",
	} {
		if strings.Contains(fault, words) {
			return true
		}
	}
	return false
}

// ends is endsAtHeader without what is asked for.
func ends(h *fasthttp.RequestHeader) bool {
	_, ok := endsAtHeader(h)
	return ok
}
