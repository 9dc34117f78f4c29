package param

import (
	"slices"
	"testing"
)

func TestHosts(t *testing.T) {
	f := func(address, first string, want ...string) {
		t.Helper()
		if got := Hosts(address); !slices.Equal(got, want) {
			t.Errorf("hosts of %s: got %q, want %q", address, got, want)
		}
		if got := FirstHost(address); got != first {
			t.Errorf("%s with its first host: got %s, want %s", address, got, first)
		}
	}
	f("postgres://db/shop", "postgres://db/shop", "db")
	f("postgres://u:p@a:5432,b/shop?x=1,2", "postgres://u:p@a:5432/shop?x=1,2", "a:5432", "b")
	f("mysql://u:p,q@a,b:3307", "mysql://u:p,q@a", "a", "b:3307")
	f("postgres://[::1]:5432,[::2]/shop", "postgres://[::1]:5432/shop", "[::1]:5432", "[::2]")
	f("postgres:///shop?host=/run/a,/run/b", "postgres:///shop?host=/run/a,/run/b", "")
	f("sqlite:a,b.db", "sqlite:a,b.db", "")
	if got := WithHost("mysql://u@a,b:1/shop", "b:1"); got != "mysql://u@b:1/shop" {
		t.Errorf("WithHost: got %s", got)
	}
}
