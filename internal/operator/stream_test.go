package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// told reads a stream, and writes down what was told.
func told(in io.Reader) (string, error) {
	var out strings.Builder
	e := events{
		event: func(name string, data []byte) { fmt.Fprintf(&out, "%s=%s;", name, data) },
		retry: func(d time.Duration) { fmt.Fprintf(&out, "retry %v;", d) },
	}
	err := e.read(in)
	return out.String(), err
}

// TestEvents are those of the HTML standard's examples, and of all ends of lines.
func TestEvents(t *testing.T) {
	for in, want := range map[string]string{
		"retry: 1000\n\nevent: tick\ndata: {}\n\n": "retry 1s;tick={};",
		"data: a\r\ndata: b\r\rdata:c\n\n":         "message=a\nb;message=c;",
		": comment\ndata\n\ndata\ndata\n\n":        "message=;message=\n;",
		"data:  two\n\n":                           "message= two;",
		"event: a\n\ndata: b\n\n":                  "message=b;",
		"\ufeffdata: a\n\ndata: cut off\n":         "message=a;",
		"id: 7\nother: x\nretry: 1s\nretry: -1\n":  "",
		"retry: 99999999999999999999\n":            "",
	} {
		if got, err := told(strings.NewReader(in)); got != want || err != io.EOF {
			t.Errorf("%q: told %q, %v; want %q", in, got, err, want)
		}
		if got, _ := told(iotest.OneByteReader(strings.NewReader(in))); got != want {
			t.Errorf("%q byte by byte: told %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{strings.Repeat("x", maxEvent+1), strings.Repeat("data: 123456789\n", maxEvent/10+1)} {
		if _, err := told(strings.NewReader(in)); !errors.Is(err, errNoStream) {
			t.Errorf("%d bytes of an event end with %v", len(in), err)
		}
	}
}

// FuzzEvents: whatever comes, in whatever pieces, the same is told, and never more than came.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("retry: 1000\n\nevent: tick\ndata: {}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := told(bytes.NewReader(in))
		pieces, errPieces := told(iotest.OneByteReader(bytes.NewReader(in)))
		if whole != pieces || errors.Is(err, errNoStream) != errors.Is(errPieces, errNoStream) {
			t.Errorf("told %q, %v and %q, %v", whole, err, pieces, errPieces)
		}
		// The ends of lines are all the same.
		if !bytes.ContainsAny(in, "\r") {
			if got, _ := told(bytes.NewReader(bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n")))); got != whole {
				t.Errorf("with CR and LF told %q, want %q", got, whole)
			}
		}
	})
}

// listener is an admin listener whose answers a test writes, one after the other.
type listener struct {
	*Client
	pauses []time.Duration
}

func newListener(t *testing.T, timeout time.Duration, answers ...http.HandlerFunc) *listener {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[min(int(n.Add(1)), len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	client, err := New(Config{Address: strings.TrimPrefix(server.URL, "http://"), Token: "t", TokenFrom: "a test", Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	l := &listener{Client: client}
	client.pause = func(ctx context.Context, d time.Duration) bool {
		l.pauses = append(l.pauses, d)
		return ctx.Err() == nil
	}
	return l
}

// streams answers with a stream that ends.
func streams(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, text)
	}
}

func refuses(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprint(w, `{"detail":"said so"}`)
	}
}

// followed follows and writes down what happens.
func (l *listener) followed(ctx context.Context) (string, error) {
	var out strings.Builder
	err := l.Follow(ctx, "/api/stream", Follower{
		Linked: func() { out.WriteString("linked ") },
		Event:  func(_ string, data []byte) { fmt.Fprintf(&out, "%s ", data) },
		Lost:   func(error) { out.WriteString("lost ") },
	})
	return out.String(), err
}

// TestFollow goes on behind an end, a server that starts, and one that has no place; a token
// that is none any more ends it.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := newListener(t, 10*time.Second, streams("retry: 200\n\ndata: 1\n\n"), refuses(503), refuses(502), streams(""), streams("data: 2\n\n"), refuses(401))
	got, err := l.followed(t.Context())
	if want := "linked 1 lost lost lost linked lost linked 2 lost "; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || refusal.Status != 401 || !strings.Contains(err.Error(), "said so") {
		t.Errorf("ended with %v", err)
	}
	// A quarter more or less than 200 ms, doubled by each that told nothing.
	for i, d := range []time.Duration{200, 400, 800, 1600, 200} {
		d *= time.Millisecond
		if l.pauses[i] < d*3/4 || l.pauses[i] > d*5/4 {
			t.Errorf("pause %d was %v, want about %v", i, l.pauses[i], d)
		}
	}
}

// TestFollowEndsAtOnce where nobody answers, or somebody else does.
func TestFollowEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"another page":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no place":      refuses(503),
		"no end":        streams("data: 1\n\n" + strings.Repeat("x", maxEvent+1)),
		"an older HTTP": refuses(505),
	} {
		if got, err := newListener(t, 10*time.Second, answer).followed(t.Context()); err == nil || strings.Contains(got, "lost") {
			t.Errorf("%s: told %q and ended with %v", name, got, err)
		}
	}
	client, err := New(Config{Address: "unix:" + t.TempDir() + "/none.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&listener{Client: client}).followed(t.Context()); err == nil || !strings.Contains(err.Error(), "is the server running?") {
		t.Errorf("without a server it ends with %v", err)
	}
}

// TestFollowNoticesSilence, and that whoever follows has enough.
func TestFollowNoticesSilence(t *testing.T) {
	t.Parallel()
	hangs := func(w http.ResponseWriter, r *http.Request) {
		streams("data: 1\n\n")(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	if got, err := newListener(t, time.Second, hangs, refuses(403)).followed(t.Context()); !strings.HasPrefix(got, "linked ") || !strings.HasSuffix(got, "lost ") || err == nil {
		t.Errorf("told %q and ended with %v", got, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	l := newListener(t, 10*time.Second, hangs)
	err := l.Follow(ctx, "/", Follower{Linked: func() {}, Event: func(string, []byte) { cancel(enough) }, Lost: func(error) { t.Error("lost") }})
	if !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
}
