package framing_test

import (
	"testing"

	"hearth/internal/framing"
)

func TestHeader(t *testing.T) {
	f := func(header string, chunked bool, want framing.Fault) {
		t.Helper()
		content, _, got := framing.Header([]byte(header))
		if got != want || content.Chunked != chunked {
			t.Errorf("%q: got %q, chunked %v, want %q, %v", header, got.Detail(), content.Chunked, want.Detail(), chunked)
		}
	}
	const end = "\r\n"
	f("", false, framing.None)
	f("A: b\r\n"+end, false, framing.None)
	f("Host: a:80\r\nCOOKIE: c=d; e\r\n:x\r\n"+end, false, framing.None) // an empty name is fasthttp's to refuse
	f("Content-Length: 5\r\n"+end, false, framing.None)
	f("Transfer-Encoding: Chunked \t\r\n"+end, true, framing.None)
	f("transfer-encoding:chunked\r\n"+end, true, framing.None)
	f("TE: trailers\r\nTrailer: X\r\n"+end, false, framing.None)
	f("Transfer-Encoding: identity\r\n"+end, false, framing.Coding)
	f("Transfer-Encoding:\r\n"+end, false, framing.Coding)
	f("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"+end, true, framing.TwoLengths)
	f("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"+end, true, framing.TwoLengths)
	f("Content-Length: 4611686018427387904\r\n"+end, false, framing.BadLength)
	f("Content-Length: 5 5\r\n"+end, false, framing.BadLength)
	f("Content-Length:\r\n"+end, false, framing.BadLength)
	f("A: b\nC: d\r\n"+end, false, framing.BareLineFeed)
	f("A: b\r\n\n", false, framing.BareLineFeed)
	f("\nA: b\r\n"+end, false, framing.BareLineFeed)
	f("A: b\r\n", false, framing.None)
	f("A: b\r\n"+end+"C: d\r\n", false, framing.BareLineFeed)
	f("A: b", false, framing.BareLineFeed)
	f("A: b\r\n c\r\n"+end, false, framing.Folded)
	f("A: b\r\n\tc\r\n"+end, false, framing.Folded)
	f("A B: c\r\n"+end, false, framing.BadName)
	f("A : c\r\n"+end, false, framing.BadName)
	f("A\r\n"+end, false, framing.BadName)
	f("Host: a@b\r\n"+end, false, framing.BadHost)
	f("Host: a b\r\n"+end, false, framing.BadHost)
	f("Expect: 100-Continue\r\n"+end, false, framing.None)
	f("Expect: x\r\n"+end, false, framing.Expectation)
	f("Expect:\r\n"+end, false, framing.Expectation)
}

func TestContent(t *testing.T) {
	for header, want := range map[string]framing.Content{
		"\r\n":                                {},
		"Content-Length: 0\r\n\r\n":           {},
		"content-length: \t0012 \r\n\r\n":     {Length: 12},
		"Transfer-Encoding: chunked\r\n\r\n":  {Chunked: true},
		"Content-Length: 4000000000\r\n\r\n":  {Length: 4e9},
		"X-Content-Length: 5\r\nA: b\r\n\r\n": {},
	} {
		got, _, fault := framing.Header([]byte(header))
		if got != want || fault != framing.None || got.Present() != (want != framing.Content{}) {
			t.Errorf("%q: got %+v, %q, want %+v", header, got, fault.Detail(), want)
		}
	}
}

func TestTarget(t *testing.T) {
	f := func(method, target string, want framing.Fault) {
		t.Helper()
		if got := framing.Target(method, []byte(target)); got != want {
			t.Errorf("%s %s: got %q, want %q", method, target, got.Detail(), want.Detail())
		}
	}
	f("GET", "/", framing.None)
	f("GET", "//b/", framing.None)
	f("GET", "/x#y", framing.BadTarget)
	f("GET", "/x?#", framing.BadTarget)
	f("GET", "*", framing.BadTarget)
	f("OPTIONS", "*", framing.None)
	f("CONNECT", "a:1", framing.NoProxy)
	f("CONNECT", "/", framing.None)
	f("GET", "http://a/x", framing.None)
	f("GET", "HTTPS://A:1?x", framing.None)
	f("GET", "http://a", framing.None)
	f("GET", "http://x@a/", framing.BadTarget)
	f("GET", "http:///x", framing.BadTarget)
	f("GET", "http://:80/x", framing.BadTarget)
	f("GET", "ftp://a/", framing.BadTarget)
	f("GET", "", framing.BadTarget)
}

// Every fault says what to do.
func TestFaults(t *testing.T) {
	for fault := framing.BareLineFeed; fault <= framing.TrailerField; fault++ {
		if fault.Status() < 400 || fault.Detail() == "" {
			t.Errorf("fault %d is answered with %d %q", fault, fault.Status(), fault.Detail())
		}
	}
	for version, want := range map[string]framing.Fault{
		"HTTP/1.1": framing.None, "HTTP/1.0": framing.None, "HTTP/1.2": framing.BadVersion, "HTTP/2.0": framing.BadVersion, "": framing.BadVersion,
	} {
		if got := framing.Version([]byte(version)); got != want {
			t.Errorf("%q: got %v, want %v", version, got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	header := []byte("Host: a.example:80\r\nUser-Agent: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { framing.Header(header) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
