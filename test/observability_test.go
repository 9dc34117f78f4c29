package test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
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
rate  = "5/h"
`

// scrape starts an instance that has every metric, lets it answer requests of
// all kinds, and returns its page of metrics.
func scrape(t *testing.T) string {
	t.Helper()
	awaitNewHour(t)
	ca, dir := testkit.NewAuthority(t, "servers"), t.TempDir()
	cert, key := ca.Issue("hearth.test", 240*time.Hour)
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	in := launch.Ready(t, fmt.Sprintf(measured, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")), "HEARTH_REDIS_URL="+testkit.Redis(t).URL(), "HEARTH_FEED_MODE=outbox")
	client := &http.Client{Timeout: launch.Patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool()},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(in.Public, "unix:"))
			if err == nil {
				_, err = io.WriteString(conn, "PROXY UNKNOWN\r\n")
			}
			return conn, err
		},
	}}
	defer client.CloseIdleConnections()
	answer := func(method, path, body string) int {
		t.Helper()
		req, err := http.NewRequest(method, "https://hearth.test"+path, strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		must(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	ask := func(method, path, body string, want int) {
		t.Helper()
		if got := answer(method, path, body); got != want {
			t.Errorf("%s %s: got %d, want %d", method, path, got, want)
		}
	}
	// until is ask for what may take another go: a limit refuses while Redis has no time to count.
	until := func(path string, want int) {
		t.Helper()
		for range 20 {
			if answer("GET", path, "") == want {
				return
			}
		}
		t.Errorf("GET %s is never answered %d", path, want)
	}
	for range 3 {
		ask("GET", "/user/1", "", 200)
	}
	ask("GET", "/user/100000", "", 404)
	ask("GET", "/user/x", "", 422)
	ask("PUT", "/user/7", `{"name":"Ada","city":"London"}`, 200)
	ask("GET", "/far/1", "", 503) // nobody is there
	ask("POST", "/batch_process", `[{"id":1}]`, 200)
	until("/concurrent_test", 200)
	until("/concurrent_test", 429)
	ask("GET", "/nowhere", "", 404)

	page := in.AskAdmin(http.MethodGet, "/metrics", "")
	if want := "text/plain; version=0.0.4; charset=utf-8"; page.Code != 200 || page.Header.Get("Content-Type") != want {
		t.Fatalf("/metrics answered %v as %q", page.Code, page.Header.Get("Content-Type"))
	}
	return page.Body
}

// metricsGolden lists what is exported: for dashboards and alerts, whose names
// TestAlerts and TestDashboard look up there.
var metricsGolden = filepath.Join("testdata", "metrics.golden")

// TestMetricsAreAsPublished holds every family that the program exports against
// testdata/metrics.golden: name, type, labels and help of its own ones, the names
// of those that every Go program has.
func TestMetricsAreAsPublished(t *testing.T) {
	t.Parallel()
	page := scrape(t)
	families, err := readMetrics(page)
	must(t, err)
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("Prometheus' linter says %+v, %v", problems, err)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			fmt.Fprintln(&b, name)
			continue
		}
		fmt.Fprintf(&b, "%s %s {%s} %s\n", name, strings.ToLower(f.GetType().String()), strings.Join(labelNames(f.Metric[0]), ","), escaped.Replace(f.GetHelp()))
	}
	if *update {
		must(t, os.WriteFile(metricsGolden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(metricsGolden)
	if err != nil {
		t.Fatalf("%v (go test ./test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; go test ./test -update writes it anew):\n%s", metricsGolden, diff)
	}
	if heads := regexp.MustCompile(`(?m)^# HELP \S+`).FindAllString(page, -1); !slices.IsSorted(heads) || len(heads) != len(families) {
		t.Errorf("%d families are not sorted by name, or lack their help: %q", len(families), heads)
	}
}

var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// readMetrics reads a page in the text format of Prometheus, and refuses what the
// format allows and other scrapers do not.
func readMetrics(page string) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	for name, f := range families {
		if bad := checkFamily(f); bad != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, bad))
		}
	}
	return families, err
}

// checkFamily wants all series of a family to have the same labels, no two of them
// the same values, and their numbers to be what its type promises.
func checkFamily(f *dto.MetricFamily) error {
	of := f.GetType()
	if of == dto.MetricType_UNTYPED || len(f.Metric) == 0 {
		return errors.New("has no type, or no series")
	}
	seen := map[string]bool{}
	for _, m := range f.Metric {
		if !slices.Equal(labelNames(m), labelNames(f.Metric[0])) {
			return fmt.Errorf("one series has the labels %q, another one %q", labelNames(f.Metric[0]), labelNames(m))
		}
		key := fmt.Sprint(m.Label)
		if seen[key] {
			return fmt.Errorf("twice the series %s", key)
		}
		seen[key] = true
		if v := m.GetCounter().GetValue(); v < 0 || math.IsNaN(v) || m.TimestampMs != nil {
			return fmt.Errorf("a count of %v, or a time", v)
		}
		if err := checkHistogram(m.Histogram); of == dto.MetricType_HISTOGRAM && err != nil {
			return err
		}
	}
	return nil
}

// checkHistogram wants the buckets in order, each at least as full as the one
// before, and the last one to hold all.
func checkHistogram(h *dto.Histogram) error {
	bound, full := math.Inf(-1), uint64(0)
	for _, b := range h.GetBucket() {
		if b.GetUpperBound() <= bound || b.GetCumulativeCount() < full {
			return fmt.Errorf("bucket le=%v holds %d behind le=%v with %d", b.GetUpperBound(), b.GetCumulativeCount(), bound, full)
		}
		bound, full = b.GetUpperBound(), b.GetCumulativeCount()
	}
	if !math.IsInf(bound, 1) || h.SampleSum == nil || h.SampleCount == nil || h.GetSampleCount() != full {
		return errors.New("lacks the bucket +Inf, _sum, or a _count that agrees")
	}
	return nil
}

// labelNames are the names of a series' labels, sorted.
func labelNames(m *dto.Metric) (names []string) {
	for _, l := range m.Label {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// TestMetricsAreReadStrictly shows that readMetrics can refuse.
func TestMetricsAreReadStrictly(t *testing.T) {
	t.Parallel()
	const counter = "# HELP a_total A.\n# TYPE a_total counter\n"
	const histogram = "# HELP h H.\n# TYPE h histogram\n"
	good := func(page string) {
		t.Helper()
		if _, err := readMetrics(page); err != nil {
			t.Errorf("%q: %v", page, err)
		}
	}
	bad := func(page, want string) {
		t.Helper()
		if _, err := readMetrics(page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", page, err, want)
		}
	}
	good(counter + "a_total{x=\"a\\\\b\\\"c\\nd{}, \"} 1\na_total{x=\"\"} 2.5e3\n")
	good(histogram + "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n")
	good("# HELP g G \\\\ \\n.\n# TYPE g gauge\ng NaN\n")
	bad(counter+"a_total 1", "end")
	bad("a_total 1\n", "no type")
	bad(counter+"a_total 1 1700000000\n", "a time")
	bad(counter+"a_total 1\n"+counter+"a_total 1\n", "second HELP")
	bad(counter+"a_total 1\na_total 1\n", "twice")
	bad(counter+"a_total{x=\"1\"} 1\na_total{y=\"1\"} 1\n", "another one")
	bad(counter+"a_total{x=\"1\",x=\"2\"} 1\n", "duplicate")
	bad(counter+"a_total -1\n", "a count of")
	bad(counter+"a_total NaN\n", "a count of")
	bad(counter+"a_total one\n", "float")
	bad(histogram+"h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 1\n", "agrees")
	bad(histogram+"h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", "lacks the bucket")
	bad(histogram+"h_bucket{le=\"+Inf\"} 2\nh_count 2\n", "lacks")
	bad(histogram+"h_bucket{le=\"2\"} 2\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", "behind")
	bad(histogram+"h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", "behind")
}

// traced is a configuration with a resource that an HTTP origin has, and all
// requests in the log.
const traced = `
[log]
access_sample = 1
[[resource]]
name   = "far"
path   = "/far/{id:int}"
key    = "far:{id}"
origin = "%s/{id}"
`

// TestTraceGoesThrough follows one request's names from the client to the origin,
// back to the client, and into the log.
func TestTraceGoesThrough(t *testing.T) {
	t.Parallel()
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	heard := make(chan http.Header, 8)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	defer origin.Close()
	in := launch.Ready(t, fmt.Sprintf(traced, origin.URL))
	ask := func(path string, header ...string) http.Header {
		t.Helper()
		got := in.Ask(http.MethodGet, path, "", header...)
		if got.Code != http.StatusOK {
			t.Errorf("%s: got %v", path, got)
		}
		return got.Header
	}

	answer := ask("/far/1?token=hidden", "X-Request-Id: edge-7", "Traceparent: "+parent, "Tracestate: a=1", "Tracestate: b=2")
	got := <-heard
	if id := answer.Get("X-Request-Id"); id != "edge-7" || got.Get("X-Request-Id") != id || got.Get("Traceparent") != parent || got.Get("Tracestate") != "a=1,b=2" {
		t.Errorf("the answer has the id %q, the origin was told %v", id, got)
	}
	answer = ask("/far/2", "Traceparent: 00-"+strings.ToUpper(trace)+"-b7ad6b7169203331-01", "Tracestate: a=1")
	got = <-heard
	if id := answer.Get("X-Request-Id"); len(id) != 32 || got.Get("X-Request-Id") != id || len(got["Traceparent"])+len(got["Tracestate"]) > 0 {
		t.Errorf("the answer has the id %q, the origin was told %v", id, got)
	}
	text := in.Logs()
	for _, want := range []string{
		"path=/far/1 status=200 ", " client=unix request_id=edge-7 trace_id=" + trace + "\n",
		"path=/far/2 status=200 ", " request_id=" + answer.Get("X-Request-Id") + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hidden") {
		t.Errorf("the log has the query string:\n%s", text)
	}
}

// TestJournalGetsPriorities starts the program as systemd does, with standard
// error connected to the journal.
func TestJournalGetsPriorities(t *testing.T) {
	t.Parallel()
	lines := func(format, until string) []string {
		t.Helper()
		in := launch.Program{
			Env:     []string{"HEARTH_LOG_FORMAT=" + format, "HEARTH_UNKNOWN_KEY=x"},
			Wrapper: []string{"sh", "-c", `JOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/2) exec "$0" "$@"`},
		}.Start(t)
		await(t, "the server serves", func() bool { return strings.Contains(in.Logs(), until) })
		return strings.Split(strings.TrimSuffix(in.Logs(), "\n"), "\n")
	}
	for _, line := range lines("text", "msg=serving") {
		warns := strings.Contains(line, "level=WARN")
		if strings.Contains(line, "time=") || warns != strings.HasPrefix(line, "<4>") || !warns && !strings.HasPrefix(line, "<6>level=INFO ") {
			t.Errorf("a line for the journal: %s", line)
		}
	}
	for _, line := range lines("json", `"msg":"serving"`) {
		if !strings.HasPrefix(line, `{"time":"`) {
			t.Errorf("a line for programs: %s", line)
		}
	}
}

// TestStandardErrorIsTheLog cuts the connections of a driver that prints by itself,
// and lets the server fail after its start: every line is one of the log.
func TestStandardErrorIsTheLog(t *testing.T) {
	t.Parallel()
	maria := testkit.MariaDB(t)
	config := `
[log]
format = "json"
[database]
url = "` + maria.URL() + `"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id, name FROM users WHERE id = {user_id}"
`
	in := launch.Ready(t, config)
	await(t, "the driver says that its connection is gone", func() bool {
		for _, row := range maria.Query(`SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()`) {
			maria.Exec("KILL " + row[0])
		}
		return strings.Contains(in.Logs(), `"driver":"mysql"`)
	})
	// Another one finds the sockets taken: that, too, is a line of the log.
	second := launch.Start(t, config, "HEARTH_SERVER_LISTEN="+in.Public)
	if second.Wait() == 0 {
		t.Error("a second server on the same sockets did not fail")
	}
	for line := range strings.Lines(in.Logs() + second.Logs()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no line of the log: %q", line)
		}
	}
}
