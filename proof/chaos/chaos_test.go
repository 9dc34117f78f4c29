package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSmoke runs everything for a few seconds: each fault once.
func TestSmoke(t *testing.T) {
	testkit.NeedRedis(t)
	var out, diagnosis bytes.Buffer
	args := []string{"-repo", "../..", "-reads", "5000", "-rounds", "1", "-minutes", "2", "-calm", "50ms", "-keys", "40", "-readers", "1", "-writers", "2", "-depth", "4"}
	if code := run(t.Context(), args, &out, &diagnosis); code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, out.String(), diagnosis.String())
	}
	for _, f := range faults {
		if !strings.Contains(out.String(), f.name) {
			t.Errorf("the report does not name the fault %q", f.name)
		}
	}
	if !strings.Contains(out.String(), "violations  0\n") {
		t.Errorf("the report does not count violations:\n%s", out.String())
	}
	t.Log(out.String())
}

func TestArguments(t *testing.T) {
	var out, diagnosis bytes.Buffer
	if code := run(t.Context(), []string{"-nonsense"}, &out, &diagnosis); code != 2 || diagnosis.Len() == 0 {
		t.Errorf("exit status %d, %q, want 2 and a message", code, diagnosis.String())
	}
	if code := run(t.Context(), []string{"-repo", t.TempDir(), "-minutes", "0.1"}, &out, &diagnosis); code != 1 || !strings.Contains(diagnosis.String(), "building hearth") {
		t.Errorf("exit status %d, %q, want 1 and the reason", code, diagnosis.String())
	}
}

// TestJudge shows that the judge can say no.
func TestJudge(t *testing.T) {
	const s = int64(time.Second)
	b := newBook(plan{keys: 1, link: time.Second}) // 1.5 s are allowed
	history := func(resource int) *record {
		r := b.fresh(resource)
		r.ack(1*s, 1*s+1, 0)  // 1: instance 1 acknowledged it
		r.ack(2*s, 2*s+1, -1) // 2: Redis did
		r.ack(3*s, 3*s+1, 1)  // 3: instance 2 did
		return r
	}
	f := func(resource, instance int, version int64, sent time.Duration, change func(*record), want bool) {
		t.Helper()
		r := history(resource)
		if change != nil {
			change(r)
		}
		q := b.ask(r, instance)
		q.sent = int64(sent)
		was := b.violations()
		b.judge(q, instance, version, "")
		if got := b.violations() > was; got != want {
			t.Errorf("%s, instance %d, version %d, asked at %v: violation %v, want %v", resourceNames[resource], instance+1, version, sent, got, want)
		}
	}
	f(free, 0, 3, 9*time.Second, nil, false)
	f(free, 0, 4, 9*time.Second, nil, false)                 // not acknowledged yet
	f(free, 0, 2, 4*time.Second, nil, false)                 // 3 was acknowledged 1 s ago by the other
	f(free, 0, 2, 4600*time.Millisecond, nil, true)          // 1.6 s ago
	f(free, 0, 1, 3400*time.Millisecond, nil, false)         // 2 was acknowledged 1.4 s ago
	f(free, 0, 1, 3600*time.Millisecond, nil, true)          // 1.6 s ago
	f(free, 1, 2, 3*time.Second+time.Millisecond, nil, true) // it acknowledged 3 itself
	f(free, 0, 0, 9*time.Second, nil, true)
	f(free, 0, 0, 9*time.Second, func(r *record) { r.removal(3*s - 1) }, true) // written since
	f(free, 0, 0, 9*time.Second, func(r *record) { r.removal(3*s + 5) }, false)
	f(free, 0, 0, 9*time.Second, func(r *record) { r.removal(forever) }, false)
	f(row, 0, 0, 9*time.Second, func(r *record) { r.removal(forever) }, true) // the database has it
	f(free, 0, 1, 9*time.Second, func(r *record) { r.gone.Store(true) }, false)

	b.wiping()
	f(free, 1, 0, 9*time.Second, nil, false)
	b.wiped()
	b.wipe.ended = 3*s - 1
	f(free, 1, 0, 9*time.Second, nil, true)
	b.wipe.ended = 4 * s
	f(free, 1, 0, 9*time.Second, nil, false)
	f(free, 1, 1, 9*time.Second, nil, true) // gone, and not to come back
	if b.worst.Load() != int64(7*time.Second)-1 {
		t.Errorf("worst delay %v", time.Duration(b.worst.Load()))
	}
}

func TestResponses(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nCache-Status: Hearth-Memory; hit; ttl=-2; detail=stale\r\nContent-Length: 14\r\n\r\n" + `{"id":1,"v":7}` +
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + `{"v":` + "HTTP"
	l := &link{in: bufio.NewReader(strings.NewReader(text))}
	var r response
	for i, want := range []struct {
		code    int
		marked  bool
		version int64
	}{{200, true, 7}, {404, false, 0}, {200, false, 0}} {
		if err := l.read(&r); err != nil {
			t.Fatal(err)
		}
		version, _ := r.version()
		if r.code != want.code || r.marked != want.marked || version != want.version {
			t.Errorf("answer %d: got %d, marked %v, version %d, want %+v", i, r.code, r.marked, version, want)
		}
	}
	if err := l.read(&r); err == nil {
		t.Error("half an answer was read")
	}
}
