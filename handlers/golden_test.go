package handlers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/source"
)

// golden compares got with a file in testdata; -update writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// The texts of all errors, for reviewers: each says what to change.
func TestProblemTexts(t *testing.T) {
	f := newFixture(t)
	guarded := newFixture(t, func(_ *Config, d *Deps) {
		d.Tokens = auth.New([]auth.Token{{Name: "ops", Scopes: auth.Admin, Secret: "scrape-scrape-scrape"}})
	})
	var b strings.Builder
	show := func(f *fixture, method, target, body string, fields ...string) {
		a := f.send(t, method, target, body, fields...)
		fmt.Fprintf(&b, "%s %.40s", method, target)
		if body != "" {
			fmt.Fprintf(&b, " %.60s", body)
		}
		if len(fields) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(fields, ", "))
		}
		fmt.Fprintf(&b, "\n%s\n\n", a.body)
	}
	const form = "Content-Type: application/x-www-form-urlencoded"
	show(f, "GET", "/nowhere", "")
	show(f, "GET", "/user/404", "")
	show(f, "GET", "/user/%zz", "")
	show(f, "GET", "/user/abc", "")
	show(f, "GET", "/bare/abc", "")
	show(f, "GET", "/item/%ff", "")
	show(f, "GET", "/item/%00", "")
	show(f, "GET", "/item/"+strings.Repeat("x", 600), "")
	show(f, "GET", "/user", "")
	show(f, "GET", "/user?user_id=1&user_id=", "")
	show(f, "GET", "/user?user_id=%", "")
	show(f, "GET", "/user?user_id=1&user_id=1&user_id=1&user_id=1", "")
	show(f, "POST", "/user/1", "")
	show(f, "PUT", "/user/1", `{"name":`)
	show(f, "PUT", "/user/1", `[]`)
	show(f, "PUT", "/user/1", `{}`)
	show(f, "PUT", "/user/1", `{"a":1,"a":1}`)
	show(f, "PUT", "/user/1", `x=1`, form)
	show(f, "PUT", "/user/1", `{}`, `If-Match: "a"`)
	show(f, "PUT", "/user/404", `{}`, `If-Match: *`)
	show(f, "PUT", "/user/1", `{}`, `If-None-Match: *`)
	show(f, "PUT", "/user/1", `{}`, `Origin: https://elsewhere.test`)
	show(f, "DELETE", "/user/404", "")
	show(guarded, "DELETE", "/user/1", "")
	show(guarded, "DELETE", "/user/1", "", "Authorization: Bearer x")
	show(guarded, "DELETE", "/user/1", "", "Authorization: Bearer scrape-scrape-scrape")
	show(f, "POST", "/batch_process", `{}`)
	show(f, "POST", "/batch_process", `[1]`)
	show(f, "POST", "/batch_process", `[{"id":1},{}]`)
	show(f, "POST", "/batch_process", `[{"id":null}]`)
	show(f, "POST", "/batch_process", `[{"id":1.5}]`)
	show(f, "POST", "/batch_process", `[{"id":1},`)
	show(f, "POST", "/batch_process", "["+strings.Repeat(`{"id":1},`, 100)+`{"id":1}]`)
	show(f, "POST", "/batch_process", `x`, form)
	show(f, "POST", "/batch_process", "["+strings.Repeat(" ", 64<<10)+"]")
	show(f, "GET", "/item/"+strings.Repeat("x", 4096), "")
	for _, err := range []error{cache.ErrUnconfirmed, cache.ErrTimeout, cache.ErrOverload, cache.ErrUnavailable,
		cache.ErrNotJSON, source.ErrUnknownOutcome, source.ErrConflict, errBroken} {
		f.breakTiers(broken{err: err})
		fmt.Fprintf(&b, "the tiers say %q: ", err)
		show(f, "PUT", "/user/1", `{"name":"x"}`)
	}
	golden(t, "problems.golden", b.String())
}
