package redis_test

import (
	"strings"
	"testing"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// TestProbeRedis asks servers that can be the shared tier and such that cannot.
func TestProbe(t *testing.T) {
	server := testkit.Redis(t)
	f := func(what string, c redis.Config, want string) {
		t.Helper()
		err := redis.Probe(t.Context(), c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	f("a good one", redis.Config{URL: server.URL()}, "")
	f("nobody", redis.Config{URL: "redis://127.0.0.1:1"}, "connecting: ")
	server.Do("ACL", "SETUSER", "other", "on", ">right", "~*", "&*", "+@all", "-client|tracking")
	other := strings.Replace(server.URL(), "://", "://other:right@", 1)
	f("an account that may not track", redis.Config{URL: other}, "CLIENT TRACKING")
	f("a wrong password", redis.Config{URL: other, Account: func() (redis.Account, error) { return redis.Account{Username: "other", Password: "wrong"}, nil }}, "redis.password_file")
	f("no URL", redis.Config{URL: "redis"}, "redis.url")
}
