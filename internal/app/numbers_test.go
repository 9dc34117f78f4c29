package app

import (
	"testing"

	"hearth/internal/config"
)

func TestSourceName(t *testing.T) {
	f := func(want string, r config.Resource) {
		t.Helper()
		if got := sourceName(r); got != want {
			t.Errorf("select %q, origin %q: got %q, want %q", r.Select, r.Origin, got, want)
		}
	}
	f("", config.Resource{})
	f("database", config.Resource{Select: "SELECT 1"})
	f("records.test", config.Resource{Origin: "https://records.test/users/{id}"})
	f("records.test:8080", config.Resource{Origin: "http://records.test:8080?user={id}"})
}
