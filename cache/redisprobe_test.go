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
	f("a wrong password", cache.RedisConfig{URL: redis.URL(), Password: "wrong"}, "connecting: ")
	f("no URL", cache.RedisConfig{URL: "redis"}, "redis.url")
}
