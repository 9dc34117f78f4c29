package cache_test

import (
	"strings"
	"testing"

	"hearth/cache"
	"hearth/internal/testkit"
)

// TestProbeRedis asks servers that can be the shared tier and such that cannot.
func TestProbeRedis(t *testing.T) {
	redis := testkit.Redis(t)
	f := func(what string, c cache.RedisConfig, want string) {
		t.Helper()
		err := cache.ProbeRedis(t.Context(), c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	f("a good one", cache.RedisConfig{URL: redis.URL()}, "")
	f("nobody", cache.RedisConfig{URL: "redis://127.0.0.1:1"}, "connecting: ")
	redis.Do("ACL", "SETUSER", "other", "on", ">right", "~*", "&*", "+@all", "-client|tracking")
	other := strings.Replace(redis.URL(), "://", "://other:right@", 1)
	f("an account that may not track", cache.RedisConfig{URL: other}, "CLIENT TRACKING")
	f("a wrong password", cache.RedisConfig{URL: other, Password: "wrong"}, "WRONGPASS")
	f("no URL", cache.RedisConfig{URL: "redis"}, "redis.url")
}
