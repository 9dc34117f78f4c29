package test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
	"hearth/internal/testkit/browser"
	"hearth/internal/testkit/launch"
)

// observed is an instance over Redis under a little load, and a browser.
type observed struct {
	*launch.Instance
	t       *testing.T
	redis   *testkit.RedisServer
	browser *browser.Browser
	url     string
}

func newObserved(t *testing.T) *observed {
	w := &observed{t: t, redis: testkit.Redis(t)}
	w.Instance = byPort(t, w.redis)
	w.browser = browser.New(t)
	w.url = "http://" + w.Admin
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.Get(fmt.Sprintf("/user/%d", 1+i*i%(1+i%40)))
		}
	})
	return w
}

// byPort is an instance whose admin listener a browser can reach.
func byPort(t *testing.T, redis *testkit.RedisServer) *launch.Instance {
	return launch.Program{
		Config: launch.Demo(t), Public: launch.Port, Admin: launch.Port, Env: []string{"HEARTH_REDIS_URL=" + redis.URL()},
	}.Ready(t)
}

// page opens the dashboard on a device, and waits until it draws.
func (w *observed) page(width, height int64, scheme string) *browser.Page {
	w.t.Helper()
	p := w.browser.Page()
	p.Size(width, height)
	p.Prefer(scheme)
	p.Open(w.url + "/")
	await(w.t, "the dashboard draws", func() bool {
		return browser.Eval[bool](p, `document.querySelectorAll(".uplot").length > 8 && document.querySelectorAll("#hot tbody td.mono").length > 2 &&
			!document.getElementById("state").textContent.startsWith("Waiting") && document.querySelectorAll("#groups td").length > 2`)
	})
	return p
}

func eventually(t *testing.T, p *browser.Page, what, expression string) {
	t.Helper()
	await(t, what, func() bool { return browser.Eval[bool](p, expression) })
}

// TestDashboard is the dashboard of a real server under load, on a desktop and a phone, light
// and dark.
func TestDashboard(t *testing.T) {
	t.Parallel()
	w := newObserved(t)
	for _, device := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"light", 1440, 900, "light"}, {"dark", 1440, 900, "dark"}, {"phone", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}} {
		if !testkit.Long() && !*update && (device.name == "dark" || device.name == "phone") {
			continue // each size and each theme is there without them
		}
		p := w.page(device.width, device.height, device.scheme)
		if got := p.Violations("testdata/axe/axe.min.js.gz"); got != "" {
			t.Errorf("%s: %s", device.name, got)
		}
		if wide := browser.Eval[int](p, `document.documentElement.scrollWidth`); wide > int(device.width) {
			t.Errorf("%s: the page is %d wide", device.name, wide)
		}
		if got := browser.Eval[string](p, `document.documentElement.dataset.theme`); got != device.scheme {
			t.Errorf("%s: the theme is %s", device.name, got)
		}
		if *update && device.name != "phone-dark" {
			await(t, "there is something to see", func() bool { return tickOf(t, w.Instance).Seq > 25 })
			must(t, os.WriteFile(filepath.Join("..", "docs", "dashboard-"+device.name+".png"), p.Screenshot(), 0o644))
		}
		w.checkQuiet(p)
	}
	w.checkManual()
}

// checkQuiet holds against a page what it asked of others, and what the browser complained of.
func (w *observed) checkQuiet(p *browser.Page) {
	w.t.Helper()
	for _, address := range p.Requests() {
		if !strings.HasPrefix(address, w.url+"/") && !strings.HasPrefix(address, "data:") {
			w.t.Errorf("the page asked for %s", address)
		}
	}
	for _, problem := range p.Problems() {
		w.t.Errorf("the browser reports: %s", problem)
	}
}

// TestDashboardTellsOfTrouble: what goes wrong stands in the first line, by itself, and its end,
// too. A key that is markup stays text, and the keyboard does what the buttons do.
func TestDashboardTellsOfTrouble(t *testing.T) {
	if !testkit.Long() {
		return // TestDashboard has the page, internal/top the same rules
	}
	t.Parallel()
	w := newObserved(t)
	w.redis.Do("SET", "item:%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", `1`)
	p := w.page(1000, 800, "light")
	eventually(t, p, "all is well", `document.getElementById("state").textContent === "All is well."`)
	seen := browser.Eval[string](p, `document.getElementById("since").textContent`)
	eventually(t, p, "the page moves", `document.getElementById("since").textContent !== `+fmt.Sprintf("%q", seen))
	for key, want := range map[string]string{
		"d": `document.getElementById("day").getAttribute("aria-pressed") === "true"`,
		"h": `document.getElementById("hour").getAttribute("aria-pressed") === "true"`,
		"p": `document.getElementById("pause").getAttribute("aria-pressed") === "true"`,
		"?": `!document.getElementById("helped").hidden`,
		"t": `document.documentElement.dataset.theme === "dark"`,
	} {
		p.Type("#main", key)
		eventually(t, p, "the key "+key+" works", want)
	}
	browser.Eval[string](p, `location.hash = "#explain=%2Fuser%2F1"`) // as the docs page links here
	eventually(t, p, "a path in the address is explained", `document.getElementById("sentence").textContent.startsWith("The next GET: ")`)
	w.redis.Kill()
	eventually(t, p, "an outage of Redis stands in the first line", `document.getElementById("state").textContent.includes("he shared tier cannot be asked")`)
	eventually(t, p, "it is an event", `document.getElementById("happened").textContent.includes("the shared tier cannot be asked")`)
	w.redis.Start()
	eventually(t, p, "its end is an event", `document.getElementById("happened").textContent.includes("answers again")`)
	eventually(t, p, "all is well again", `!document.getElementById("state").textContent.includes("he shared tier")`)
	w.Kill()
	eventually(t, p, "a server that is gone is noticed", `/No ticks?/.test(document.getElementById("state").textContent)`)
}

// TestDashboardWithoutScripts: there is a table, with escaped texts.
func TestDashboardWithoutScripts(t *testing.T) {
	t.Parallel()
	in := byPort(t, testkit.Redis(t))
	p := browser.NewPage(t)
	p.WithoutScripts()
	p.Open("http://" + in.Admin + "/")
	if got := p.Text("noscript table"); !strings.Contains(got, "memory_budget") || !strings.Contains(got, "started") {
		t.Errorf("the table is %q", got)
	}
}

// TestDashboardIsSmall: the page in gzip, and every event of the stream.
func TestDashboardIsSmall(t *testing.T) {
	t.Parallel()
	in := demo(t, testkit.Redis(t))
	plain := in.AskAdmin(http.MethodGet, "/", "", "Accept-Encoding: identity")
	packed := in.AskAdmin(http.MethodGet, "/", "", "Accept-Encoding: gzip")
	if packed.Code != 200 || packed.Header.Get("Content-Encoding") != "gzip" || len(packed.Body) > 60_000 || len(packed.Body) > len(plain.Body)/2 {
		t.Errorf("the page has %d bytes, %d in %q", len(plain.Body), len(packed.Body), packed.Header.Get("Content-Encoding"))
	}
	t.Logf("the page: %d bytes, %d in gzip", len(plain.Body), len(packed.Body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://admin/api/stream", nil)
	must(t, err)
	req.Host = "localhost"
	resp, err := in.HTTP.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for event, n := 0, 0; event < 3; {
		line, err := lines.ReadString('\n')
		must(t, err)
		if n += len(line); line == "\n" {
			if n > 2048 {
				t.Errorf("an event has %d bytes", n)
			}
			event, n = event+1, 0
		}
	}
}

// TestATickEqualsThePageOfMetrics while nobody asks anything: of each number the same.
func TestATickEqualsThePageOfMetrics(t *testing.T) {
	t.Parallel()
	in := demo(t, testkit.Redis(t))
	for i := range 20 {
		in.Get(fmt.Sprintf("/user/%d", 1+i%5))
	}
	sums := func() map[string]float64 {
		all := map[string]float64{}
		tiers, err := in.Answered()
		must(t, err)
		for tier, n := range tiers {
			all["requests_"+tier] = n
		}
		all["loads"], all["memory_entries"] = in.Metric(`hearth_loads_total{resource="user",result="ok"}`), in.Metric("hearth_memory_entries")
		return all
	}
	await(t, "a tick has what /metrics has", func() bool {
		want := sums()
		got := tickOf(t, in)
		for id := range want {
			want[id] -= got.Values[id]
		}
		for id, rest := range want {
			if rest == 0 {
				delete(want, id)
			}
		}
		return cmp.Diff(map[string]float64{}, want) == ""
	})
}
