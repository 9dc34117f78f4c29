package handlers

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache"
	"hearth/internal/param"
	"hearth/internal/source"
)

const (
	someTrace  = "0af7651916cd43dd8448eb211c80319c"
	someParent = "00-" + someTrace + "-b7ad6b7169203331-01"
)

func TestTraceparent(t *testing.T) {
	f := func(parent string, want bool) {
		t.Helper()
		id, ok := traceID([]byte(parent))
		if ok != want || ok && string(id) != parent[3:35] {
			t.Errorf("%q: got the trace %q, %v", parent, id, ok)
		}
	}
	f(someParent, true)
	f(strings.TrimSuffix(someParent, "1")+"0", true)
	f(strings.TrimSuffix(someParent, "01")+"ff", true) // unknown flags are passed on
	f("", false)
	f("00", false)
	f(someParent[:54], false)
	f(someParent+"0", false)
	f(someParent+"-", false) // version 00 ends here
	f(someParent+"-x", false)
	f(strings.ToUpper(someParent), false)
	f(strings.Replace(someParent, "0af", "0AF", 1), false)
	f(strings.Replace(someParent, "0af", "0ag", 1), false)
	f("00-00000000000000000000000000000000-b7ad6b7169203331-01", false)
	f("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false)
	f(strings.ReplaceAll(someParent, "-", "_"), false)
	f(" "+someParent, false)
	f(someParent+", "+someParent, false)

	later := "cc" + someParent[2:]
	f(later, true)
	f(later+"-", true)
	f(later+"-what-the-future-brings", true)
	f(later+"x", false)
	f(later+"-a b", false)
	f(later+"-\x00", false)
	f("ff"+someParent[2:], false)
	f("0x"+someParent[2:], false)
	f(later+"-"+strings.Repeat("x", maxTraceparent-56), true)
	f(later+"-"+strings.Repeat("x", maxTraceparent-55), false)
}

// isTraceparent reads a traceparent byte by byte, as the recommendation says it in
// words.
func isTraceparent(parent string) bool {
	if len(parent) < 55 || len(parent) > 128 {
		return false
	}
	for i := range len(parent) {
		switch c := parent[i]; {
		case i == 2 || i == 35 || i == 52 || i == 55:
			if c != '-' {
				return false
			}
		case i < 55 && strings.IndexByte("0123456789abcdef", c) < 0, c <= ' ' || c > '~':
			return false
		}
	}
	version, id, span := parent[:2], parent[3:35], parent[36:52]
	return version != "ff" && (version != "00" || len(parent) == 55) && strings.Trim(id, "0") != "" && strings.Trim(span, "0") != ""
}

// FuzzTraceparent holds traceID, which goes by the grammar, against isTraceparent.
func FuzzTraceparent(f *testing.F) {
	for _, parent := range []string{
		someParent, "cc" + someParent[2:] + "-later", "ff" + someParent[2:], strings.ToUpper(someParent), someParent + "-x", "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
	} {
		f.Add(parent)
	}
	f.Fuzz(func(t *testing.T, parent string) {
		want := isTraceparent(parent)
		id, ok := traceID([]byte(parent))
		if ok != want {
			t.Errorf("traceID(%q): got %v, want %v", parent, ok, want)
		}
		if ok && string(id) != parent[3:35] {
			t.Errorf("traceID(%q): got the trace %q", parent, id)
		}
	})
}

// listening is a source that is told who asks.
type listening struct {
	people
	began chan struct{} // if set: one value for each load …
	hold  chan struct{} // … which then waits for its end

	mu   sync.Mutex
	told []source.Caller
}

func (l *listening) TellsCaller() {}

func (l *listening) Load(ctx context.Context, args source.Args) ([]byte, error) {
	l.mu.Lock()
	l.told = append(l.told, source.CallerOf(ctx))
	l.mu.Unlock()
	if l.began != nil {
		l.began <- struct{}{}
		<-l.hold
	}
	return l.people.Load(ctx, args)
}

// last returns what was told since the last time.
func (l *listening) last() []source.Caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

func listeningFixture(t *testing.T) (*fixture, *listening) {
	t.Helper()
	l := &listening{people: people{rows: map[string]string{"1": `{"id":1}`, "2": `{"id":2}`, "3": `{"id":3}`}}}
	f := newFixture(t, func(c *Config, _ *Deps) {
		far := c.Resources[0]
		far.Cache = cache.NewResource("far", "far", far.Cache.TTL, l)
		far.Path, far.Key = []param.Segment{{Literal: "far"}, {Param: "id", Type: param.Int}}, []param.Part{{Literal: "far:"}, {Param: "id"}}
		c.Resources = append(c.Resources, far)
	})
	return f, l
}

func TestSourceIsToldWhoAsks(t *testing.T) {
	f, l := listeningFixture(t)
	var states []string
	for range 5 {
		states = append(states, "Tracestate: "+strings.Repeat("k", 50)+"="+strings.Repeat("v", 51))
	}
	joined := strings.ReplaceAll(strings.Join(states, ","), "Tracestate: ", "")
	for name, c := range map[string]struct {
		fields []string
		want   source.Caller // RequestID "": whatever the answer says
	}{
		"nothing":             {},
		"an id":               {[]string{"X-Request-Id: a.B_c-9"}, source.Caller{RequestID: "a.B_c-9"}},
		"no id":               {fields: []string{"X-Request-Id: a b"}},
		"a trace":             {[]string{"Traceparent: " + someParent}, source.Caller{Traceparent: someParent}},
		"in lower case":       {[]string{"traceparent: " + someParent, "tracestate: a=1"}, source.Caller{Traceparent: someParent, Tracestate: "a=1"}},
		"a later version":     {[]string{"traceparent: cc" + someParent[2:] + "-x"}, source.Caller{Traceparent: "cc" + someParent[2:] + "-x"}},
		"no trace":            {fields: []string{"traceparent: ff" + someParent[2:], "tracestate: a=1"}},
		"two traces":          {fields: []string{"traceparent: " + someParent, "traceparent: " + someParent, "tracestate: a=1"}},
		"a state alone":       {fields: []string{"tracestate: a=1"}},
		"a state in lines":    {[]string{"traceparent: " + someParent, "tracestate: a=1, b=2", "tracestate: ", "tracestate: c=3"}, source.Caller{Traceparent: someParent, Tracestate: "a=1, b=2,c=3"}},
		"the longest state":   {append([]string{"traceparent: " + someParent}, states[:4]...), source.Caller{Traceparent: someParent, Tracestate: joined[:4*103-1]}},
		"too long a state":    {append([]string{"traceparent: " + someParent}, states...), source.Caller{Traceparent: someParent}},
		"a state not ASCII":   {[]string{"traceparent: " + someParent, "tracestate: a=ä"}, source.Caller{Traceparent: someParent}},
		"an empty tracestate": {[]string{"traceparent: " + someParent, "tracestate: "}, source.Caller{Traceparent: someParent}},
	} {
		for _, target := range []string{"/far/1", "/far/%31", "/far?id=1"} {
			a := f.send(t, "GET", target, "", c.fields...)
			told := l.last()
			if a.StatusCode != 200 || len(told) != 1 {
				t.Fatalf("%s, %s: got %d %s, and %d loads", name, target, a.StatusCode, a.body, len(told))
			}
			want := c.want
			if id := a.Header.Get("X-Request-Id"); want.RequestID == "" {
				want.RequestID = id
			} else if id != want.RequestID {
				t.Errorf("%s, %s: the answer carries the id %q", name, target, id)
			}
			if told[0] != want || !isID([]byte(want.RequestID)) {
				t.Errorf("%s, %s: the source was told %+v, want %+v", name, target, told[0], want)
			}
			if err := f.memory.Invalidate(t.Context(), []string{"far:1"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One load serves many requests, and knows the one that leads it.
func TestSourceIsToldWhoLeads(t *testing.T) {
	f, l := listeningFixture(t)
	l.began, l.hold = make(chan struct{}), make(chan struct{})
	first := make(chan answer, 1)
	go func() { first <- f.send(t, "GET", "/far/1", "", "X-Request-Id: first", "traceparent: "+someParent) }()
	<-l.began
	second := make(chan answer, 1)
	go func() { second <- f.send(t, "GET", "/far/1", "", "X-Request-Id: second") }()
	close(l.hold)
	for want, a := range map[string]answer{"first": <-first, "second": <-second} {
		a.wantHeader(t, "X-Request-Id", want)
	}
	want := source.Caller{RequestID: "first", Traceparent: someParent}
	if told := l.last(); len(told) != 1 || told[0] != want {
		t.Errorf("the source was told %+v, want %+v once", told, want)
	}
}

// A refresh is nobody's request, although one has set it off.
func TestRefreshHasNoCaller(t *testing.T) {
	f, l := listeningFixture(t)
	warm(t, f, "/far/1")
	l.last()
	rec := f.fastRoutes["/far/"]
	pin := f.memory.Pin(0)
	hit, _ := f.memory.Look(rec.Resource, []byte("far:1"), time.Now())
	if !hit.Found() {
		t.Fatal("memory lost the record")
	}
	entry := hit.Entry()
	pin.Release()
	l.began, l.hold = make(chan struct{}), make(chan struct{})
	f.memory.Refresh(rec.Resource, "far:1", source.Args{int64(1)}, entry)
	<-l.began
	close(l.hold)
	if told := l.last(); len(told) != 1 || told[0] != (source.Caller{}) {
		t.Errorf("the source was told %+v, want one load of nobody's", told)
	}
}

// Other sources are told nothing, and an answer without need has no id.
func TestOthersAreNotTold(t *testing.T) {
	f := newFixture(t)
	told := make(chan source.Caller, 1)
	f.reads = overhearing{f.reads, told}
	a := f.send(t, "GET", "/user/1", "", "traceparent: "+someParent)
	a.wantHeader(t, "X-Request-Id", "")
	if got := <-told; got != (source.Caller{}) {
		t.Errorf("a source that cannot use it was told %+v", got)
	}
}

type overhearing struct {
	reader
	told chan source.Caller
}

func (o overhearing) Read(ctx context.Context, r *cache.Resource, key string, args source.Args) (cache.Answer, error) {
	o.told <- source.CallerOf(ctx)
	return o.reader.Read(ctx, r, key, args)
}
