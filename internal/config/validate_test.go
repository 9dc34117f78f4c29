package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
	"hearth/internal/param"
)

func TestEmptyFileIsTheDefaults(t *testing.T) {
	got := mustLoad(t, "\ufeff# nothing\r\n")
	want := config.Defaults()
	want.Embedded.Path = got.Embedded.Path
	if diff := cmp.Diff(want, got, comparing); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServerAddresses(t *testing.T) {
	f := func(listen, admin, want string) {
		t.Helper()
		_, err := load(t, "[server]\nlisten = \""+listen+"\"\nadmin = \""+admin+"\"\n")
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s and %s: %v", listen, admin, err)
		}
	}
	const same = "is the address of server.listen too (line 2)"
	f("127.0.0.1:0", "127.0.0.1:0", "")
	f(":8080", "localhost:9090", "")
	f("127.0.0.1:8080", "127.0.0.2:8080", "")
	f("127.0.0.1:8080", "127.0.0.1:8080", same)
	f(":8080", "127.0.0.1:8080", same)
	f("127.0.0.1:8080", "[::]:8080", same)
	f("unix:a.sock", "unix:a.sock", same)
	f("unix:a.sock", "unix:b.sock", "")
	f("unix:@a", ":1", "")
	f("unix:", ":1", "has no path")
	f(":99999", ":1", "has no port from 0 to 65535")
	f("::1:8080", ":1", "is no address")
	f("a b:80", ":1", "has no valid host")
	f("unix:/"+strings.Repeat("a", 200), ":1", "the kernel takes 107")
}

func TestDatabaseAndRedisURLs(t *testing.T) {
	f := func(section, url, want string) {
		t.Helper()
		_, err := load(t, "["+section+"]\nurl = '"+url+"'\n")
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	f("database", "", "")
	f("database", "sqlite:a.db", "")
	f("database", "sqlite::memory:", "")
	f("database", "postgres://u:p@h:5432/d?sslmode=disable", "")
	f("database", "postgresql:///d?host=/run/postgresql", "")
	f("database", "mysql://u:p@h/d", "")
	f("database", "sqlite:", "names no file")
	f("database", "sqlite:///a.db", "has slashes")
	f("database", "sqlite:a.db?mode=ro", "has parameters")
	f("database", "sqlite:hearth.db", "is the file of database.url (line 2) too")
	f("database", "mariadb://h/d", "begins with none of")
	f("database", "postgres:h/d", "begins with none of")
	f("database", "postgres:///d", "names no host")
	f("redis", "", "")
	f("redis", "redis://h", "")
	f("redis", "rediss://u:p@h:6379/3", "")
	f("redis", "redis://h:6379?addr=i:6379&addr=j:6379", "")
	f("redis", "redis://h:26379?master_set=main&db=1", "")
	f("redis", "unix:///run/redis.sock", "")
	f("redis", "redis://", "names no host")
	f("redis", "redis://h:6379/", "no database number")
	f("redis", "redis://h:6379/x", "no database number")
	f("redis", "redis://h?db=x", "has a db that is no number")
	f("redis", "redis://h?protocol=2", "turns client-side caching off")
	f("redis", "redis://h:99999", "has no port")
	f("redis", "unix://redis.sock", "names no absolute path")
	f("redis", "h:6379", "has a scheme that is none of")
}

func TestResourceSources(t *testing.T) {
	const start = "[[resource]]\nname = \"r\"\npath = \"/r/{id:int}\"\nkey = \"r:{id}\"\n"
	const database = "[database]\nurl = \"sqlite:a.db\"\n"
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, text)
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	f(database+start+"select = \"S\"\nupsert = \"U\"\ndelete = \"D\"\nselect_many = \"M\"\nrows = \"many\"", "")
	f(start+`select = "S"`, "needs database.url, or HEARTH_DATABASE_URL")
	f(database+start+"select = \"S\"\norigin = \"http://h/\"", "is set together with select (line 7)")
	f(start+`upsert = "U"`, "needs select")
	f(start+`delete = "D"`, "needs select")
	f(start+`select_many = "M"`, "needs select")
	f(start+`rows = "many"`, "needs select")
	f(database+start+`select = ""`, "is empty")
	f(start+`origin = "https://h:8443/a/{id}?b={id}"`, "")
	f(start+`origin = "https://h/{id"`, "brace")
	f(start+`origin = "https://h/{body.id}"`, `no parameter "body.id"; use {id}`)
	f(start+`origin = "https://{id}/"`, "in its host")
	f(start+`origin = "https://h{id}.example.org?x"`, "in its host")
	f(start+`origin = "https://h/#{id}"`, "fragment")
	f(start+`origin = "https://"`, "is no URL")
	f(start+`origin = "/r/{id}"`, "neither http:// nor https://")
	f("[[resource]]\nname = \"source\"\npath = \"/r/{id:int}\"\nkey = \"r:{id}\"", "would be the envelope too")
	f("[[resource]]\nname = \"source\"\npath = \"/r/{id:int}\"\nkey = \"r:{id}\"\nenvelope = \"data\"", "")
}

// TestFollowedDefaults covers defaults that depend on other keys.
func TestFollowedDefaults(t *testing.T) {
	c := mustLoad(t, "[[limit]]\nname = \"a\"\npaths = [\"/*\"]\nrate = \"7/m\"\n")
	rate := config.Rate{Count: 7, Window: time.Minute}
	want := []config.Limit{{Name: "a", Paths: []param.Area{{Below: true}}, By: "client", Rate: rate}}
	if diff := cmp.Diff(want, c.Limits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c = mustLoad(t, resources("/a/{id:int} a:{id}", "/b b")+"envelope = \"\"\n")
	if a, b := c.Resources[0], c.Resources[1]; a.Envelope != "r0" || b.Envelope != "" {
		t.Errorf("envelopes: got %q and %q, want the name and none", a.Envelope, b.Envelope)
	}
	_, err := load(t, "[[limit]]\nname = \"a\"\npaths = [\"/*\"]\nrate = \"7/m\"\nburst = 8\n")
	wantFault(t, err, "write 7 or less")
	_, err = load(t, "[[limit]]\nname = \"a\"\npaths = []\nrate = \"0/s\"\nby = \"header:\"\n")
	if got := faultsOf(t, err); len(got) != 3 {
		t.Errorf("got %q, want faults in paths, rate and by", got)
	}
}

func TestWarnings(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c := mustLoad(t, text)
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], want) {
			t.Errorf("got warnings %q, want one with %q", c.Warnings, want)
		}
	}
	const start = "[[resource]]\nname = \"r\"\npath = \"/r/{id:int}\"\nkey = \"r:{id}\"\n"
	f(start+"ttl = { cold = \"1h\" }", "resource.ttl: has no effect")
	f("[server]\nproxy_protocol = true", "can claim any address")
	f("[server]\nhonor_request_cache_control = \"none\"\n[[auth.token]]\nname = \"a\"\nscopes = [\"fresh\"]\ntoken = \"0123456789abcdef\"",
		`auth.token.scopes: has "fresh", which opens nothing while`)
}

// TestBatchLifetimes: no time is none, and what no tier can count is refused.
func TestBatchLifetimes(t *testing.T) {
	const start = "[[resource]]\nname = \"r\"\npath = \"/r/{id:int}\"\nkey = \"r:{id}\"\n[[batch]]\npath = \"/b\"\nresource = \"r\"\n"
	for text, want := range map[string]time.Duration{
		"": 0, `ttl = ""`: 0, `ttl = "0s"`: 0, `ttl = "1ms"`: time.Millisecond, `ttl = "876000h"`: 876000 * time.Hour,
	} {
		if got := mustLoad(t, start+text).Batches[0].TTL; got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`ttl = "999us"`: `batch.ttl: "999µs" is shorter than a millisecond`, `ttl = "-1ms"`: `write "0s" to "876000h"`,
		`ttl = "876001h"`: `write "0s" to "876000h"`, `ttl = 60`: `write it as "60s"`, `ttl = "1d"`: `write it as "24h"`,
	} {
		_, err := load(t, start+text)
		wantFault(t, err, want)
	}
}

// TestTOMLFaults covers what the language forbids, with the line to mend.
func TestTOMLFaults(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%q: got %v, want one fault with %q", text, err, want)
		}
	}
	f("[log]\nlevel = \"info\"\nlevel = \"warn\"", ":3: log.level: is set twice, first in line 2")
	f("[log]\n[log]", ":2: log: is set twice, first in line 1")
	f("[[log]]\nlevel = \"info\"", ":1: log: there is only one; write [log]")
	f("log = 1", ":1: log: 1 is no table; write [log]")
	f("limit = 1", "write [[limit]]")
	f("limit = [1]", ":1: limit: 1 is no table; write [[limit]]")
	f("[log]\nlevel.a = 1", ":2: log.level: a table is no text")
	f("log = { level = \"info\", level = \"warn\" }", ":1: log.level: is set twice")
	f("log = { level = \"info\" }\n[log]\n", ":2: log: is set twice, first in line 1")
	f("log.level = \"info\"\nlog.level.x = 1\n", ":2: log.level: is set twice, first in line 1")
	f("limit = []\n[[limit]]\n", ":2: limit: is set twice, first in line 1")
	f("[log]\nlevel = \"info", ":2: log.level: ")
	f("[server]\nadmin_hosts = [\"a\",\n\"b\"\n", ":2: server.admin_hosts: ")
	f("[log]\nlevel = \"\\q\"", `or use single quotes`)
	f("[log]\nlevel = \"\xff\"", "UTF-8")
	f("\x00", ":1: ")
	f("[log]\n\"le vel\" = 1", `log."le vel": no such key`)
	f("[log]\n\"level\\n\" = 1", `log."level\n": no such key`)
	f("[server]\nmax_items = 99999999999999999999", ":2: server.max_items: 99999999999999999999 is no integer")
	f("[log]\nlevel = 1979-13-45", ":2: log.level: 1979-13-45 is no text")
	f("log.level = \"info\"\n[log]\nformat = \"json\"", "correct the TOML") // only the library notices
	f("[log.deep]\nx = 1", ":1: log.deep: no such key")
}
