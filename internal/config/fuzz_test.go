package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
)

// FuzzLoad checks that Load never panics, that what it refuses it explains, and
// that what it accepts is usable and stays accepted. The seeds are the tables of
// the other tests one by one: long inputs are slow to minimize.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/awful.toml", "testdata/broken.toml", "testdata/full.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n\n") {
			f.Add(part, "HEARTH_SERVER_LISTEN=127.0.0.1:1")
		}
	}
	f.Add("[[resource]]\nname='a'\npath='/a/{b:string}'\nkey='a:{b}'", "HEARTH_MEMORY_BUDGET=1GiB")
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, text, variable string) {
		again := func(text string) (*config.Config, error) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return config.Load(path, []string{variable})
		}
		c, err := again(text)
		if err != nil {
			checkFaults(t, err, strings.Count(text, "\n")+1)
			return
		}
		checkUsable(t, c)
		other, err := again("# a comment\n" + strings.TrimPrefix(text, "\ufeff") + "\n# another\n")
		if err != nil {
			t.Fatalf("a valid configuration became invalid by comments: %v", err)
		}
		if diff := cmp.Diff(c, other, comparing); diff != "" {
			t.Fatalf("comments changed the configuration:\n%s", diff)
		}
	})
}

func checkFaults(t *testing.T, err error, lines int) {
	var faults *config.Faults
	if !errors.As(err, &faults) || len(faults.List) == 0 {
		t.Fatalf("got %T, want filled *Faults", err)
	}
	for _, f := range faults.List {
		if f.Text == "" || f.Line < 0 || f.Line > lines || (f.File == "") == (f.Variable == "") {
			t.Errorf("useless fault %+v in %d lines", f, lines)
		}
		if strings.ContainsAny(f.String(), "\n\x00\x1b") {
			t.Errorf("fault would garble a terminal: %q", f.String())
		}
	}
}

// checkUsable checks what the rest of the server relies on without looking.
func checkUsable(t *testing.T, c *config.Config) {
	s := c.Server
	if s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxBody <= 0 || s.MaxInFlight <= 0 || s.MaxHeader <= 0 {
		t.Errorf("a bound of the server is missing: %+v", s)
	}
	if c.Memory.LinkTimeout <= 0 || c.Memory.Budget < 0 || !(c.Memory.MissingShare >= 0 && c.Memory.MissingShare <= 1) || !(c.Load.HotRate > 0) {
		t.Errorf("a bound of the memory is missing: %+v %+v", c.Memory, c.Load)
	}
	for _, r := range c.Resources {
		var inPath, inKey []string
		for _, p := range r.Path.Params() {
			inPath = append(inPath, p.Name)
		}
		for _, p := range r.Key.Parts {
			if p.Param != "" {
				inKey = append(inKey, p.Param)
			}
		}
		slices.Sort(inPath)
		slices.Sort(inKey)
		if !slices.Equal(inPath, inKey) || r.Name == "" || r.Envelope == "source" || r.TTL.Cold <= 0 {
			t.Errorf("unusable resource %+v", r)
		}
		if r.Select != "" && (r.Origin.Text != "" || c.Database.URL.Empty()) {
			t.Errorf("resource with a contradictory source: %+v", r)
		}
	}
	for _, b := range c.Batches {
		if !slices.ContainsFunc(c.Resources, func(r config.Resource) bool { return r.Name == b.Resource && len(r.Path.Params()) == 1 }) {
			t.Errorf("batch without a resource: %+v", b)
		}
	}
	for _, token := range c.Auth.Tokens {
		if len(token.Token.Reveal()) < 16 || len(token.Scopes) == 0 {
			t.Errorf("weak token %q", token.Name)
		}
	}
	for _, l := range c.Limits {
		if l.Rate.Count <= 0 || l.Rate.Window <= 0 || l.Burst < 0 || l.Burst > l.Rate.Count || l.LocalRate.Count < 0 {
			t.Errorf("unusable limit %+v", l)
		}
	}
}
