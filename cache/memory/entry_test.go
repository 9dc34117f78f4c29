package memory

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEntryHoldsTheExactAnswer(t *testing.T) {
	large := `{"text":"` + strings.Repeat("很 long ", 1000) + `"}`
	f := func(envelope, key, data, want string, zipped bool) {
		t.Helper()
		e := NewEntry(NewShape(envelope), key, []byte(data), 0)
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
	e := NewEntry(NewShape("user"), "k", nil, FlagMissing)
	if e.Body() != nil || e.Gzip() != nil || string(e.Data()) != "null" || !e.Missing() {
		t.Errorf("got body %q, data %q, missing %v", e.Body(), e.Data(), e.Missing())
	}
}

func TestEntryDoesNotAliasItsInput(t *testing.T) {
	t.Parallel()
	key, data := []byte("user:1"), []byte(`{"id":1}`)
	e := NewEntry(NewShape("user"), string(key), data, 0)
	for i := range data {
		data[i] = 'x'
	}
	if got, want := string(e.Body()), `{"user":{"id":1},"source":"cache"}`; got != want {
		t.Errorf("after the data's buffer was overwritten: got %s, want %s", got, want)
	}
	s, r, o := newTestStore(t)
	fly(s, r, o, string(key), `{"id":1}`)
	clear(key)
	if s.Find(r, []byte("user:1")) == nil {
		t.Error("after the key's buffer was overwritten the entry is not found")
	}
}

func TestETagIsOfTheDataAndItsShape(t *testing.T) {
	t.Parallel()
	a := NewShape("user")
	tag := func(r *Shape, key, data string, flags uint8) string {
		return NewEntry(r, key, []byte(data), flags).ETag()
	}
	one := tag(a, "user:1", `{"id":1}`, 0)
	if !regexp.MustCompile(`^W/"[0-9a-f]{30}"$`).MatchString(one) {
		t.Errorf("got %s, want a weak tag of 30 hex digits", one)
	}
	if got := tag(NewShape("user"), "user:2", `{"id":1}`, FlagUntracked); got != one {
		t.Errorf("the same data and shape have the tags %s and %s", got, one)
	}
	for what, other := range map[string]string{
		"other data":  tag(a, "user:1", `{"id":2}`, 0),
		"other shape": tag(NewShape(""), "user:1", `{"id":1}`, 0),
		"missing":     tag(a, "user:1", "null", FlagMissing),
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
	if headBytes > 80 {
		t.Errorf("an entry's head takes %d bytes, want 80 at most", headBytes)
	}
}

// TestNoTwoRecordsShareAValidator uses a pair of records that XXH64, which once
// made the validators, cannot tell apart: the second hid behind a 304.
func TestNoTwoRecordsShareAValidator(t *testing.T) {
	t.Parallel()
	r := NewShape("")
	one := []byte(`{"a":"iK2ZWeqhFWCEPyYngFb51yBMWXaSCrUZoL8g5ubbbPIa84yRnBUbHoWC"}`)
	two := []byte(`{"a":"UgFDPI8OFWCEPyYngFb51yBMWXaSCrUZ5pH@}c[HbPIa84yRnBUbHoWC"}`)
	if a, b := NewEntry(r, "a:1", one, 0).ETag(), NewEntry(r, "a:2", two, 0).ETag(); a == b {
		t.Errorf("%s and %s have the validator %s", one, two, a)
	}
}
