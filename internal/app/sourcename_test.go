package app

import (
	"testing"

	"hearth/internal/config"
	"hearth/internal/param"
)

func TestSourceName(t *testing.T) {
	f := func(want string, r config.Resource) {
		t.Helper()
		if got := sourceName(r); got != want {
			t.Errorf("select %q, origin %q: got %q, want %q", r.Select, r.Origin.Text, got, want)
		}
	}
	origin := func(text string) param.URL {
		u, wrong := param.ParseURL(text)
		if wrong != "" {
			t.Fatal(wrong)
		}
		return u
	}
	f("", config.Resource{})
	f("database", config.Resource{Select: "SELECT 1"})
	f("records.test", config.Resource{Origin: origin("https://records.test/users/{id}")})
	f("records.test:8080", config.Resource{Origin: origin("http://records.test:8080?user={id}")})
}
