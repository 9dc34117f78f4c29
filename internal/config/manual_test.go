package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
)

const root = "../../"

// TestManual proves that config.toml, which is the manual, tells the truth: the
// values in it are the defaults, but for the demo, and no key is missing.
func TestManual(t *testing.T) {
	got, err := config.Load(root+"config.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Defaults()
	want.Embedded.Path = filepath.Join(dir, "hearth.db")
	// The demo.
	want.Database.URL = config.NewSecret("sqlite:" + filepath.Join(dir, "demo.db"))
	want.Database.Demo = true
	want.Counters = []config.Counter{{Path: got.Counters[0].Path, Key: got.Counters[0].Key, Work: got.Counters[0].Work}}
	want.Batches = []config.Batch{{Path: got.Batches[0].Path, Resource: "item"}}
	for i, name := range []string{"user", "item"} {
		r := config.DefaultResource()
		r.Name, r.Envelope = name, name
		// Statements and templates have no default.
		r.Path, r.Key = got.Resources[i].Path, got.Resources[i].Key
		r.Select, r.Upsert, r.Delete = got.Resources[i].Select, got.Resources[i].Upsert, got.Resources[i].Delete
		want.Resources = append(want.Resources, r)
	}
	if diff := cmp.Diff(want, got, comparing); diff != "" {
		t.Errorf("config.toml differs from the defaults (-default +file):\n%s", diff)
	}
	for i, want := range []string{"/user/{user_id:int} user:{user_id}", "/item/{id:string} item:{id}"} {
		if r := got.Resources[i]; r.Path.Text+" "+r.Key.Text != want {
			t.Errorf("resource %d: got %s %s, want %s", i, r.Path.Text, r.Key.Text, want)
		}
	}
}

// TestManualWritesEveryDefault checks that each key stands in config.toml by
// itself, not only through the default that Load would use without it.
func TestManualWritesEveryDefault(t *testing.T) {
	data, err := os.ReadFile(root + "config.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.AllKeys() {
		if !mentions(string(data), key) {
			t.Errorf("config.toml does not mention %s", key)
		}
	}
	// What is commented out must be right once the # is removed. Some keys exclude
	// others by design, or need a file that is not there, and [redis.tls] needs TLS.
	uncommented := regexp.MustCompile(`(?m)^#([a-z_\[])`).ReplaceAllString(string(data), "$1")
	for _, conflict := range []string{"url_file", "token_file", "origin", "origin_writes", "obey_max_age", "origin_token", "origin_token_file", "origin_tls", "password_file", "sentinel_username", "sentinel_password_file", "watch"} {
		uncommented = regexp.MustCompile(`(?m)^`+conflict+` = .*$`).ReplaceAllString(uncommented, "")
	}
	uncommented = strings.Replace(uncommented, "\nurl = \"\"\n", "\nurl = \"rediss://h\"\n", 1)
	uncommented = strings.Replace(uncommented, `mode = "off"`, `mode = "outbox"`, 1)
	uncommented = strings.Replace(uncommented, `token = "…"`, `token = "0123456789abcdef"`, 1)
	if _, err := load(t, uncommented); err != nil {
		t.Errorf("config.toml with its examples in force: %v", err)
	}
}

// mentions tells whether a TOML text sets a key, commented out or not, in its
// table or inline.
func mentions(text, key string) bool {
	section, name := "", key
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		section, name = key[:i], key[i+1:]
	}
	if key, found := strings.CutPrefix(section, "resource."); found && key != "watch" { // resource.ttl is written inline
		return regexp.MustCompile(`(?m)^#?` + key + ` = \{.*\b` + name + ` = `).MatchString(text)
	}
	header := regexp.MustCompile(`(?m)^#?\[\[?` + regexp.QuoteMeta(section) + `\]\]?$`)
	for _, at := range header.FindAllStringIndex(text, -1) { // one of several examples may have it
		body := text[at[1]:]
		if end := regexp.MustCompile(`(?m)^#?\[`).FindStringIndex(body); end != nil {
			body = body[:end[0]]
		}
		if regexp.MustCompile(`(?m)^#?` + name + ` = `).MatchString(body) {
			return true
		}
	}
	return false
}

// row is what docs/configuration.md says of a key.
type row struct{ fallback, accepts, meaning string }

// rows reads the tables of docs/configuration.md.
func rows(t *testing.T) map[string]row {
	t.Helper()
	data, err := os.ReadFile(root + "docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]row{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([^|]*) ?\\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(string(data), -1) {
		all[m[1]] = row{strings.TrimSpace(m[2]), m[3], m[4]}
	}
	return all
}

// TestReference checks that docs/configuration.md has a row for every key, and that
// defaults and bounds in it are those of the schema.
func TestReference(t *testing.T) {
	rows := rows(t)
	for _, key := range config.AllKeys() {
		row, found := rows[key]
		if !found {
			t.Errorf("docs/configuration.md has no row for %s", key)
			continue
		}
		fallback, isValue := config.Default(key)
		if literal := strings.ReplaceAll(row.fallback, "`", ""); isValue && !config.IsDefault(key, literal) {
			t.Errorf("docs/configuration.md: the default of %s is %s, want %q", key, row.fallback, fallback)
		}
		if least, most, bounded := config.Bounds(key); bounded && !strings.Contains(row.accepts, least+" to ") {
			t.Errorf("docs/configuration.md: %s accepts %s, want %s to %s", key, row.accepts, least, most)
		} else if bounded && !strings.HasSuffix(row.accepts, " to "+most) && key != "limit.burst" {
			t.Errorf("docs/configuration.md: %s accepts %s, want %s to %s", key, row.accepts, least, most)
		}
	}
}

// TestRestart checks that docs/configuration.md names every key that changes with a
// restart only.
func TestRestart(t *testing.T) {
	data, err := os.ReadFile(root + "docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "| needs a restart | because |")
	text, _, _ = strings.Cut(text, "\n\n")
	for _, key := range config.RestartKeys() {
		section, _, _ := strings.Cut(key, ".")
		if !strings.Contains(text, "`"+key+"`") && !strings.Contains(text, "`["+section+"]`") {
			t.Errorf("docs/configuration.md does not say that %s needs a restart", key)
		}
	}
}

// TestManualNamesTheRestart: what changes with a restart only says so, or its table
// does.
func TestManualNamesTheRestart(t *testing.T) {
	data, err := os.ReadFile(root + "config.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.RestartKeys() {
		section, name, _ := strings.Cut(key, ".")
		before, body, _ := strings.Cut(string(data), "\n["+section+"]\n")
		body, _, _ = strings.Cut(body, "\n# ---")
		line := regexp.MustCompile(`(?m)^#?` + name + ` = `).FindStringIndex(body)
		if line == nil {
			t.Errorf("config.toml does not mention %s", key)
			continue
		}
		table := before[strings.LastIndex(before, "\n# ---"):]
		comment := body[:line[0]]
		comment = comment[strings.LastIndex(comment, "\n\n")+1:]
		if !strings.Contains(table+comment, "needs a restart") && !strings.Contains(comment, "Needs a restart") {
			t.Errorf("config.toml does not say that %s needs a restart", key)
		}
	}
}

// TestManualNamesTheBounds: the bounds of a key stand in the comment above it.
func TestManualNamesTheBounds(t *testing.T) {
	data, err := os.ReadFile(root + "config.toml")
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(` \([a-z]+\)|\n#`).ReplaceAllString(string(data), "") // "0s" (never) to "24h"
	for _, key := range config.AllKeys() {
		least, most, bounded := config.Bounds(key)
		if bounded && key != "limit.burst" && !strings.Contains(plain, strings.ReplaceAll(least+" to "+most, "`", "")) {
			t.Errorf("config.toml does not say that %s is %s to %s", key, least, most)
		}
	}
}

// TestFull loads a file that sets every key to something else than its default
// and checks that each value arrives in a field and each field has a key.
func TestFull(t *testing.T) {
	data, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.AllKeys() {
		name := key[strings.LastIndexByte(key, '.')+1:]
		// Excluded by others: the keys whose value a file holds here.
		if key != "database.url" && !strings.Contains(string(data), name+" = ") {
			t.Errorf("full.toml does not set %s", key)
		}
	}
	got, err := config.Load("testdata/full.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Defaults()
	want.Resources = []config.Resource{config.DefaultResource()}
	want.Resources[0].Watches = []config.Watch{{}}
	want.Limits = []config.Limit{{By: "client"}}
	want.Counters, want.Batches = []config.Counter{{}}, []config.Batch{{}}
	want.Auth.Tokens = []config.Token{{}}
	untouched(t, "Config", reflect.ValueOf(*want), []reflect.Value{reflect.ValueOf(*got)})

	if s := got.Database.URL.Reveal(); s != "postgres://app:from-a-file@db/app" {
		t.Errorf("database.url_file: got %q", s)
	}
	if s := got.Feed.URL.Reveal(); s != "postgres://app:from-a-file@db/app" {
		t.Errorf("feed.url_file: got %q", s)
	}
	if s := got.Auth.Tokens[1].Token.Reveal(); s != "fedcba9876543210" {
		t.Errorf("auth.token.token_file: got %q", s)
	}
	if r := got.Resources[0]; r.Envelope != "" || got.Resources[2].Envelope != "remote" {
		t.Errorf("envelopes: got %q and %q, want none and the name", r.Envelope, got.Resources[2].Envelope)
	}
	if s := got.Server; s.MaxMany != 11 || s.MaxItems != 10 || s.MaxHeader != 32<<10 || s.MaxBody != 4096 {
		t.Errorf("numbers: got %+v", s)
	}
}

// untouched reports fields in which none of the values differs from the default.
func untouched(t *testing.T, name string, def reflect.Value, values []reflect.Value) {
	t.Helper()
	if _, isSecret := def.Interface().(config.Secret); def.Kind() == reflect.Struct && !isSecret {
		for i := range def.NumField() {
			if f := def.Type().Field(i); f.Name == "Warnings" || !f.IsExported() {
				continue
			}
			var fields []reflect.Value
			for _, v := range values {
				fields = append(fields, v.Field(i))
			}
			untouched(t, name+"."+def.Type().Field(i).Name, def.Field(i), fields)
		}
		return
	}
	if isTables := def.Kind() == reflect.Slice && def.Type().Elem().Kind() == reflect.Struct; isTables && def.Len() > 0 {
		var items []reflect.Value
		for _, v := range values {
			for i := range v.Len() {
				items = append(items, v.Index(i))
			}
		}
		untouched(t, name, def.Index(0), items)
		return
	}
	for _, v := range values {
		if !reflect.DeepEqual(v.Interface(), def.Interface()) {
			return
		}
	}
	t.Errorf("%s: no key of full.toml sets it", name)
}
