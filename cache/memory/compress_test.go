package memory

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// text is a JSON string of n bytes that compresses well, noise one that does not.
func text(n int) string { return `"` + strings.Repeat("abc ", n/4) + `"` }

func noise(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rand.IntN(64)])
	}
	return `"` + b.String() + `"`
}

// TestWhatIsNotKeptIsNotCompressed: a variant that nobody can choose a second
// time costs more than it saves.
func TestWhatIsNotKeptIsNotCompressed(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	most := int(s.MaxValue())
	f := func(what, data string, wantGzip, wantKept bool) {
		t.Helper()
		e := s.NewKept(r, "k", []byte(data), 0)
		if got := e.Gzip() != nil; got != wantGzip {
			t.Errorf("%s: compressed %v, want %v", what, got, wantGzip)
		}
		if got := s.Keep(e, o, o.Epoch(), Never, Never); got != wantKept {
			t.Errorf("%s: kept %v, want %v", what, got, wantKept)
		}
	}
	f("an ordinary one", text(most/2), true, true)
	f("one that is too large", text(most), false, false)
	f("one that is too large with its variant", noise(most*9/10), false, true)
	if e := s.NewAnswer(r, "k", []byte(text(most/2)), 0); e.Gzip() != nil || !e.Compressible() {
		t.Errorf("what was loaded: compressed %v, would be %v; want false and true", e.Gzip() != nil, e.Compressible())
	}
	if e := s.NewAnswer(r, "k", []byte(text(most)), 0); e.Compressible() {
		t.Error("what was loaded and is too large would be compressed")
	}
}

// TestTheBoundOfAValueIsTheSameForAll: an entry is not compressed for nothing
// because the allocator rounds it up.
func TestTheBoundOfAValueIsTheSameForAll(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	for n := int(s.MaxValue()) - 300; n < int(s.MaxValue()); n += 7 {
		e := s.NewKept(r, "k", []byte(noise(n)), 0)
		if e.Compressible() != s.Keep(e, o, o.Epoch(), Never, Never) {
			t.Fatalf("a value of %d bytes: %d in memory, compressed or kept but not both", n, e.size)
		}
	}
}
