package app

import (
	"strings"
	"testing"

	"hearth/internal/config"
)

// TestServedHasNoSecrets: hosts are shown, and nothing that stands beside them.
func TestServedHasNoSecrets(t *testing.T) {
	for address, want := range map[string]string{
		"redis://user:se%40cret@redis:6379/1":                     "Redis at redis:6379",
		"redis://:secret@a:1?addr=b:2&addr=c:3&password=secret":   "Redis Cluster at a:1, b:2, c:3",
		"rediss://:secret@s1:26379?addr=s2:26379&master_set=main": "Redis main, by the sentinels s1:26379, s2:26379",
		"unix:///run/redis.sock?db=1":                             "Redis at unix:/run/redis.sock",
		"redis://:secret%zz@redis:6379":                           "Redis",
		"":                                                        "embedded, in hearth.db",
	} {
		cfg := &config.Config{Redis: config.Redis{URL: config.NewSecret(address)}, Embedded: config.Embedded{Path: "hearth.db"}}
		if got := tierOf(cfg); got != want || strings.Contains(got, "secret") {
			t.Errorf("%q is shown as %q, want %q", address, got, want)
		}
	}
	for address, want := range map[string]string{
		"sqlite:demo.db": "sqlite:demo.db",
		"postgres://u:se@cret@db1:5432,db2:5432/app?password=secret": "postgres://db1:5432,db2:5432",
		"https://u:secret@api.test?key=secret":                       "https://api.test",
		"http://api.test/{id}?key=se@cret":                           "http://api.test",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("%q is shown as %q, want %q", address, got, want)
		}
	}
}

// TestDocsPageNamesTheDashboardOnLoopbackAlone: what anybody may read has no other address.
func TestDocsPageNamesTheDashboardOnLoopbackAlone(t *testing.T) {
	for _, at := range [][3]string{
		{"127.0.0.1:8080", "127.0.0.1:9090", "http://127.0.0.1:9090/"}, {"localhost:8080", "[::1]:9090", "http://[::1]:9090/"},
		{"0.0.0.0:8080", "127.0.0.1:9090", ""}, {"127.0.0.1:8080", "10.0.0.5:9090", ""}, {":8080", "127.0.0.1:9090", ""},
		{"127.0.0.1:8080", "127.0.0.1:0", ""}, {"127.0.0.1:8080", "unix:/run/admin.sock", ""}, {"unix:/run/x.sock", "127.0.0.1:9090", ""},
	} {
		cfg := &config.Config{Server: config.Server{Listen: at[0], Admin: at[1]}}
		if got := dashboardURL(cfg); got != at[2] {
			t.Errorf("listening at %s, operators at %s: the page names %q, want %q", at[0], at[1], got, at[2])
		}
	}
}
