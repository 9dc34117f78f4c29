package handlers

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"hearth/cache"
)

func TestFailuresAreLoggedInBounds(t *testing.T) {
	var f failureLog
	at := time.Unix(1_700_000_000, 0)
	logged := 0
	for range 1000 {
		if _, ok := f.allow(at); ok {
			logged++
		}
	}
	if logged != failuresLogged {
		t.Errorf("%d lines in one second, want %d", logged, failuresLogged)
	}
	if unlogged, ok := f.allow(at.Add(time.Second)); !ok || unlogged != 1000-failuresLogged {
		t.Errorf("the next second's first line: %v, with %d left out, want %d", ok, unlogged, 1000-failuresLogged)
	}
	if unlogged, ok := f.allow(at.Add(time.Second)); !ok || unlogged != 0 {
		t.Errorf("its second line: %v, with %d left out", ok, unlogged)
	}
}

// logging starts a server that logs every request, in one of the two formats. Its
// clients come through a balancer that is believed.
func logging(t *testing.T, format string, level slog.Level, change ...func(*Config, *Deps)) (*fixture, *lockedBuffer) {
	t.Helper()
	out := &lockedBuffer{}
	options := &slog.HandlerOptions{Level: level}
	change = append([]func(*Config, *Deps){func(c *Config, d *Deps) {
		c.AccessSample = 1
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")} // whose address is unknown
		d.Log = slog.New(slog.NewTextHandler(out, options))
		if format == "json" {
			d.Log = slog.New(slog.NewJSONHandler(out, options))
		}
	}}, change...)
	return newFixture(t, change...), out
}

// steady makes of a log what is the same every time.
var steady = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`time=\S+`), "time=TIME"},
	{regexp.MustCompile(`"time":"[^"]+"`), `"time":"TIME"`},
	{regexp.MustCompile(`duration=\S+`), "duration=TOOK"},
	{regexp.MustCompile(`"duration":\d+`), `"duration":"NANOSECONDS"`},
	{regexp.MustCompile(`[0-9a-f]{32}\b`), "NEW-ID"},
	{regexp.MustCompile(`stack=".*?[^\\]"`), "stack=STACK"},
	{regexp.MustCompile(`"stack":".*?[^\\]"`), `"stack":"STACK"`},
}

// The lines that requests leave, for reviewers and for those who parse them.
func TestLogLines(t *testing.T) {
	const from, trace = "X-Forwarded-For: 203.0.113.7", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	const id = "X-Request-Id: edge-7"
	var b strings.Builder
	for _, format := range []string{"text", "json"} {
		f, out := logging(t, format, slog.LevelInfo)
		show := func(title string, f *fixture, out *lockedBuffer, method, target string, fields ...string) {
			before := len(out.String())
			f.send(t, method, target, "", fields...)
			line := strings.ReplaceAll(out.String()[before:], "4bf92f3577b34da6a3ce929d0e0e4736", "THE-TRACE")
			for _, s := range steady {
				line = s.find.ReplaceAllString(line, s.put)
			}
			fmt.Fprintf(&b, "# %s, %s\n%s\n", format, title, line)
		}
		warm(t, f, "/user/1")
		show("memory", f, out, "GET", "/user/1?token=hidden", from, id, trace)
		show("memory, without names", f, out, "GET", "/user/1")
		show("memory, HEAD", f, out, "HEAD", "/user/1", from, id, trace)
		show("memory, by the router", f, out, "GET", "/user/%31?token=hidden", from, id, trace)
		show("not modified", f, out, "GET", "/user/1", "If-None-Match: *", from, id)
		show("the source", f, out, "GET", "/user/2", "X-Forwarded-For: 2001:db8:1:2:3::4", id, trace)
		show("many", f, out, "GET", "/user?user_id=1&user_id=9", from, id)
		show("refused", f, out, "GET", "/user/abc", from, id, "traceparent: 00-0-0-0")
		show("no content", f, out, "OPTIONS", "/user/1", from, id)
		show("what is no id", f, out, "GET", "/user/1", from, "X-Request-Id: a b")
		f.breakTiers(broken{err: cache.ErrUnavailable})
		show("failed", f, out, "GET", "/user/404?token=hidden", from, id, trace)
		show("failed, without names", f, out, "GET", "/user/404")
		f.reads = panicking{}
		show("panicked", f, out, "GET", "/user/404?token=hidden", from, id, trace)
		slow, out := logging(t, format, slog.LevelInfo, func(c *Config, _ *Deps) { c.Slow = 1 })
		show("slow", slow, out, "GET", "/user/1?token=hidden", from, id, trace)
	}
	golden(t, "log.golden", b.String())
}

// A failed request is found by the id that its client got, and so is a sampled one.
func TestLoggedRequestsAreNamed(t *testing.T) {
	f, out := logging(t, "text", slog.LevelInfo)
	warm(t, f, "/user/1")
	check := func(target string) {
		t.Helper()
		before := len(out.String())
		id := f.send(t, "GET", target, "").Header.Get("X-Request-Id")
		if line := out.String()[before:]; id == "" || !strings.Contains(line, " request_id="+id) {
			t.Errorf("%s: the answer has the id %q, the log says %s", target, id, line)
		}
	}
	check("/user/1")
	check("/user/%31")
	check("/user/2")
	check("/nowhere")
	f.breakTiers(broken{err: cache.ErrUnavailable})
	check("/user/404")
}

func TestQueriesAreNotLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out *lockedBuffer
		t.Cleanup(func() { // when the server has ended, and so said everything
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, "SECRET") {
					t.Errorf("logged: %s", line)
				}
			}
		})
		var f *fixture
		f, out = logging(t, format, slog.LevelDebug)
		warm(t, f, "/user/1")
		ask := func() {
			for _, target := range []string{
				"/user/1?SECRET", "/user/1?a=b?SECRET", "/user/%31?t=SECRET", "/user/2?SECRET", "/user?user_id=1&t=SECRET", "/user?SECRET", "/?SECRET",
				"/nowhere?SECRET", "//nowhere?SECRET", "/user/?SECRET", "/user/1/?SECRET", "/user/%zz?SECRET", "/healthz?SECRET",
				"?SECRET", "http://hearth.test/user/1?SECRET", "http://me:SECRET@hearth.test/user/1", "http://hearth.test?SECRET", "/user/1#SECRET", "/user/3#?SECRET", "*?SECRET",
				"/user/1?SECRET\x01", "/user/1?SECRET SECRET",
			} {
				for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "PATCH"} {
					f.send(t, method, target, "", "Authorization: Bearer SECRET", "Cookie: SECRET", "Referer: /?SECRET")
				}
			}
		}
		ask()
		f.breakTiers(broken{err: cache.ErrUnavailable})
		ask()
		f.reads = panicking{}
		ask()
	}
}

// fasthttp quotes what it cannot read.
func TestWhatIsNoHTTPIsNotLogged(t *testing.T) {
	var out lockedBuffer
	l := wireLog{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	l.Printf("error when serving connection %q<->%q: %v", "a:1", "b:2", fmt.Errorf("reading: invalid request uri %q: buffer size=%d", "/?SECRET", 9))
	l.Printf("error when serving connection %q<->%q: %v", "a:1", "b:2", net.ErrClosed)
	got := out.String()
	for _, want := range []string{`\"a:1\"<->\"b:2\": reading: invalid request uri …"`, net.ErrClosed.Error(), "level=DEBUG"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, which lacks %s", got, want)
		}
	}
	if strings.Contains(got, "SECRET") {
		t.Errorf("got %s", got)
	}
}

// hostile are bytes that could end a line, or that a terminal obeys.
func hostile() (all []string) {
	for c := range 256 {
		if c != ' ' && c != '\n' && c != '?' && c != '#' {
			all = append(all, string([]byte{byte(c)}))
		}
	}
	return append(all, "%0a", "%0d%0a", "%1b[2J", "\u2028", "\u202e", "\" level=ERROR msg=\"request failed\" x=\"", `","level":"ERROR","x":"`, `\`, "%00")
}

// Whatever a request is made of, it leaves one line, and that line is about
// this request.
func TestLinesCannotBeForged(t *testing.T) {
	textLine := regexp.MustCompile(`\Atime=\S+ level=(?:INFO|ERROR) msg=(?:request|"request failed") method=(?:GET|"[^"]*") path=(?:[^\s"]+|"(?:[^"\\]|\\.)*") status=\d{3} duration=\S+ tier=[a-z]+ bytes=\d+ client=\S+ request_id=[0-9a-zA-Z._-]+(?: error=.*)?\n\z`)
	f := func(format string, whole func(line string) bool) {
		fx, out := logging(t, format, slog.LevelInfo)
		for _, evil := range hostile() {
			for _, field := range []string{"X-A: b", "X-Request-Id: x" + evil, "traceparent: " + evil, "X-Forwarded-For: " + evil, "X-Forwarded-For: 1.2.3.4" + evil} {
				path := "/item/a" + evil + "b"
				if field != "X-A: b" {
					path, field = "/item/a", strings.NewReplacer("\r", "", "\x00", "").Replace(field)
				}
				before := len(out.String())
				fx.send(t, "GET", path, "", field)
				lines := strings.SplitAfter(out.String()[before:], "\n")
				if len(lines) == 1 {
					continue // fasthttp refused it: it is no HTTP, and leaves no line
				}
				if len(lines) != 2 || lines[1] != "" || !whole(lines[0]) || strings.ContainsFunc(strings.TrimSuffix(lines[0], "\n"), isHostile) {
					t.Errorf("%s, path %q, field %q: logged %q", format, path, field, lines)
				}
			}
		}
	}
	f("text", textLine.MatchString)
	f("json", func(line string) bool {
		var entry map[string]any
		return json.Unmarshal([]byte(line), &entry) == nil && len(entry) >= 11 && entry["level"] != nil && entry["status"] != nil
	})
}

// isHostile tells whether a terminal, or a reader of lines, may take r for more
// than a letter.
func isHostile(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

func TestClientsInTheLog(t *testing.T) {
	for want, address := range map[string]netip.Addr{
		"unix":              {},
		"203.0.113.7":       netip.MustParseAddr("203.0.113.7"),
		"2001:db8:1:2::/64": group(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")),
	} {
		if got := clientText(address); got != want {
			t.Errorf("%v: got %q, want %q", address, got, want)
		}
	}
}
