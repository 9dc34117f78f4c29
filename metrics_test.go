package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
)

// measured is a configuration that brings about every metric there is.
const measured = `
[server]
max_in_flight = 100
proxy_protocol = true
[server.tls]
cert = %q
key  = %q
[database]
url  = "sqlite:demo.db"
demo = true
[[resource]]
name   = "user"
path   = "/user/{user_id:int}"
key    = "user:{user_id}"
select = "SELECT id, name, city FROM users WHERE id = {user_id}"
upsert = "INSERT INTO users (id, name, city) VALUES ({user_id}, {body.name}, {body.city}) ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city"
delete = "DELETE FROM users WHERE id = {user_id}"
[[resource]]
name = "item"
path = "/item/{id:string}"
key  = "item:{id}"
[[resource]]
name   = "far"
path   = "/far/{id:int}"
key    = "far:{id}"
origin = "http://127.0.0.1:1/{id}"
[[counter]]
path = "/concurrent_test"
key  = "request_count"
[[batch]]
path     = "/batch_process"
resource = "item"
[[limit]]
name  = "few"
paths = ["/concurrent_test"]
by    = "global"
rate  = "1/h"
`

// scrape starts an instance that has every metric, lets it answer requests of
// all kinds, and returns its metrics.
func scrape(t *testing.T) []*exposed {
	t.Helper()
	redis := testkit.Redis(t)
	ca, dir := testkit.NewAuthority(t, "servers"), t.TempDir()
	cert, key := ca.Issue("hearth.test", 240*time.Hour)
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	in := launch(t, fmt.Sprintf(measured, write("cert.pem", cert), write("key.pem", key)), "HEARTH_REDIS_URL="+redis.URL())
	in.awaitReady()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool()},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", in.public)
			if err == nil {
				_, err = io.WriteString(conn, "PROXY UNKNOWN\r\n")
			}
			return conn, err
		},
	}}
	defer client.CloseIdleConnections()
	ask := func(method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequest(method, "https://hearth.test"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s %s: got %d, want %d", method, path, resp.StatusCode, want)
		}
	}
	for range 3 {
		ask("GET", "/user/1", "", 200)
	}
	ask("GET", "/user/100000", "", 404)
	ask("GET", "/user/x", "", 422)
	ask("PUT", "/user/7", `{"name":"Ada","city":"London"}`, 200)
	ask("GET", "/far/1", "", 503) // nobody is there
	ask("POST", "/batch_process", `[{"id":1}]`, 200)
	ask("GET", "/concurrent_test", "", 200)
	ask("GET", "/concurrent_test", "", 429)
	ask("GET", "/nowhere", "", 404)

	page := in.send("admin", http.MethodGet, "/metrics", "")
	if want := "text/plain; version=0.0.4; charset=utf-8"; page.code != 200 || page.header.Get("Content-Type") != want {
		t.Fatalf("/metrics answered %v as %q", page.code, page.header.Get("Content-Type"))
	}
	families, err := parseExposition(page.body)
	if err != nil {
		t.Fatalf("the page of /metrics: %v", err)
	}
	return families
}

// metricsGolden lists what is exported: for dashboards and alerts, whose names
// TestAlerts and TestDashboard look up there.
var metricsGolden = filepath.Join("testdata", "metrics.golden")

// TestMetricsAreAsPublished holds every family that the program exports against
// testdata/metrics.golden: name, type, labels and help of its own ones, the names
// of those that every Go program has.
func TestMetricsAreAsPublished(t *testing.T) {
	families := scrape(t)
	var b strings.Builder
	for _, f := range families {
		if strings.HasPrefix(f.name, "go_") || strings.HasPrefix(f.name, "process_") {
			fmt.Fprintln(&b, f.name)
			continue
		}
		fmt.Fprintf(&b, "%s %s {%s} %s\n", f.name, f.kind, strings.Join(f.labelNames(), ","), f.help)
	}
	if *update {
		if err := os.WriteFile(metricsGolden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(metricsGolden)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", metricsGolden, diff)
	}
	names := func(a, b *exposed) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(families, names) {
		t.Error("families are not sorted by name")
	}
}
