package cache

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEntryHoldsTheExactAnswer(t *testing.T) {
	large := `{"text":"` + strings.Repeat("很 long ", 1000) + `"}`
	f := func(envelope, key, data, want string, zipped bool) {
		t.Helper()
		e := newEntry(NewResource("r", envelope, testLives, nil), key, []byte(data), 0)
		if diff := cmp.Diff(want, string(e.Body())); diff != "" {
			t.Errorf("body of %.20s (-want +got):\n%s", data, diff)
		}
		if got := string(e.Data()); got != data {
			t.Errorf("data: got %.40s, want %.40s", got, data)
		}
		if e.key() != key || !e.hasKey([]byte(key)) || e.hasKey([]byte(key+"x")) || e.Missing() {
			t.Errorf("the entry of %q does not know itself", key)
		}
		if got := e.Gzip() != nil; got != zipped {
			t.Fatalf("compressed: %v, want %v", got, zipped)
		}
		if zipped {
			r, err := gzip.NewReader(bytes.NewReader(e.Gzip()))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != want {
				t.Errorf("the compressed body is another one (%v)", err)
			}
		}
	}
	f("user", "user:1", `{"id":1}`, `{"user":{"id":1},"source":"cache"}`, false)
	f("", "user:1", `{"id":1}`, `{"id":1}`, false)
	f("", "k", `[]`, `[]`, false)
	f(`a"b`, "k", `1`, `{"a\"b":1,"source":"cache"}`, false)
	f("user", "user:1", large, `{"user":`+large+`,"source":"cache"}`, true)
	f("", "user:1", large, large, true)
}

func TestEntryOfAMissingRecord(t *testing.T) {
	t.Parallel()
	e := newEntry(NewResource("r", "user", testLives, nil), "k", nil, flagMissing)
	if e.Body() != nil || e.Gzip() != nil || string(e.Data()) != "null" || !e.Missing() {
		t.Errorf("got body %q, data %q, missing %v", e.Body(), e.Data(), e.Missing())
	}
}

func TestEntryDoesNotAliasItsInput(t *testing.T) {
	t.Parallel()
	key, data := []byte("user:1"), []byte(`{"id":1}`)
	e := newEntry(NewResource("r", "user", testLives, nil), string(key), data, 0)
	for i := range data {
		data[i] = 'x'
	}
	if got, want := string(e.Body()), `{"user":{"id":1},"source":"cache"}`; got != want {
		t.Errorf("after the data's buffer was overwritten: got %s, want %s", got, want)
	}
	s, r, o := newTestStore(t)
	fly(t, s, r, o, string(key), `{"id":1}`)
	clear(key)
	if s.find(r, []byte("user:1")) == nil {
		t.Error("after the key's buffer was overwritten the entry is not found")
	}
}

func TestAnOverlongKeyAnswersAndIsNotKept(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	key := strings.Repeat("k", maxKey+1)
	f := lead(t, s, r, o, key)
	s.arrived(o, key)
	if end(s, f, `{"id":1}`) {
		t.Error("an entry was kept without its key")
	}
	if got, want := string(f.result.entry.Body()), `{"user":{"id":1},"source":"cache"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestETagIsOfTheDataAndItsShape(t *testing.T) {
	t.Parallel()
	a := NewResource("a", "user", testLives, nil)
	tag := func(r *Resource, key, data string, flags uint8) string {
		return newEntry(r, key, []byte(data), flags).ETag()
	}
	one := tag(a, "user:1", `{"id":1}`, 0)
	if !regexp.MustCompile(`^W/"[0-9a-f]{30}"$`).MatchString(one) {
		t.Errorf("got %s, want a weak tag of 30 hex digits", one)
	}
	if got := tag(NewResource("b", "user", testLives, nil), "user:2", `{"id":1}`, flagUntracked); got != one {
		t.Errorf("the same data and shape have the tags %s and %s", got, one)
	}
	for what, other := range map[string]string{
		"other data":  tag(a, "user:1", `{"id":2}`, 0),
		"other shape": tag(NewResource("c", "", testLives, nil), "user:1", `{"id":1}`, 0),
		"missing":     tag(a, "user:1", "null", flagMissing),
	} {
		if other == one {
			t.Errorf("%s has the same tag %s", what, one)
		}
	}
	// A constant, so that no version of the program changes the tags of a fleet unnoticed.
	sum := sha256.Sum256([]byte(`{"user":{"id":1}`))
	if want := `W/"` + hex.EncodeToString(sum[:15]) + `"`; one != want {
		t.Errorf("got %s, want %s", one, want)
	}
	if want := `W/"f0929a30c01b678158520ce94c582d"`; one != want {
		t.Errorf("got %s, want %s", one, want)
	}
}

// TestAnEntrysHeadStaysSmall holds what an entry costs beside its bytes: at 20
// million entries each byte here is 20 MB.
func TestAnEntrysHeadStaysSmall(t *testing.T) {
	t.Parallel()
	if entryHead > 80 {
		t.Errorf("an entry's head takes %d bytes, want 80 at most", entryHead)
	}
}

// TestNoTwoRecordsShareAValidator uses a pair of records that XXH64, which once
// made the validators, cannot tell apart: the second hid behind a 304.
func TestNoTwoRecordsShareAValidator(t *testing.T) {
	t.Parallel()
	r := NewResource("a", "", testLives, nil)
	one := []byte(`{"a":"iK2ZWeqhFWCEPyYngFb51yBMWXaSCrUZoL8g5ubbbPIa84yRnBUbHoWC"}`)
	two := []byte(`{"a":"UgFDPI8OFWCEPyYngFb51yBMWXaSCrUZ5pH@}c[HbPIa84yRnBUbHoWC"}`)
	if a, b := newEntry(r, "a:1", one, 0).ETag(), newEntry(r, "a:2", two, 0).ETag(); a == b {
		t.Errorf("%s and %s have the validator %s", one, two, a)
	}
}

func TestAppendStatus(t *testing.T) {
	f := func(a Answer, want string) {
		t.Helper()
		if got := string(a.AppendStatus(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(Answer{Tier: TierMemory, TTL: 41*time.Second + time.Millisecond}, "Hearth-Memory; hit; ttl=41")
	f(Answer{Tier: TierRedis, Shared: TierRedis, TTL: 3000 * time.Second, Stored: true}, "Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored")
	f(Answer{Tier: TierSource, Shared: TierRedis, Stored: true}, "Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss")
	f(Answer{Tier: TierSource, Shared: TierEmbedded}, "Hearth-Embedded; fwd=miss, Hearth-Memory; fwd=miss")
	f(Answer{Tier: TierStale, TTL: -11*time.Second - time.Millisecond, Detail: "stale"}, "Hearth-Memory; hit; ttl=-12; detail=stale")
}
