package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/config"
)

// TestSuggestions: a key that is none is most likely one of the same table, in
// another spelling; then the key of that name in another table.
func TestSuggestions(t *testing.T) {
	f := func(table, key, want string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(table+"\n"+key+" = \"x\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(file, nil)
		var faults *config.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%s %s: got %v", table, key, err)
		}
		for _, fault := range faults.List {
			if strings.Contains(fault.Text, "no such key") {
				if !strings.HasSuffix(fault.Text, "did you mean "+want+"?") || fault.Line != 2 {
					t.Errorf("%s %s: got %v, want %s", table, key, fault, want)
				}
				return
			}
		}
		t.Errorf("%s %s: got %v, want no such key", table, key, err)
	}
	f("[[limit]]", "path", "limit.paths")
	f("[[limit]]", "rates", "limit.rate")
	f("[[limit]]", "key", "limit.by")
	f("[[batch]]", "paths", "batch.path")
	f("[[resource]]", "paths", "resource.path")
	f("[[resource]]", "Select", "resource.select")
	f("[[resource]]", "cache-control", "resource.cache_control")
	f("[[resource]]", "selectMany", "resource.select_many")
	f("[[resource]]", "stale", "resource.ttl.stale")
	f("[[resource]]", "updsert", "resource.upsert")
	f("[[resource]]", "sql", "resource.select")
	f("[[resource]]", "url", "resource.origin")
	f("[server]", "max-body", "server.max_body")
	f("[server]", "MAX_BODY", "server.max_body")
	f("[server]", "timeout", "server.read_timeout")
	f("[server]", "cert", "server.tls.cert")
	f("[server]", "budget", "memory.budget")
	f("[server]", "max_conns", "database.max_conns")
	f("[server]", "levle", "log.level")
	f("[redis]", "urls", "redis.url")
	f("[redis]", "timeout", "database.timeout")
	f("[database]", "path", "embedded.path")
	f("[log]", "lvl", "log.level")
}
