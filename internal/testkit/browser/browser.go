// Package browser starts a headless Chromium for tests and drives pages in it.
//
// It is apart from the test kit because what drives a browser is large, and of those that
// start servers nobody else needs it.
package browser

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"hearth/internal/testkit"
)

const (
	// pageWithin bounds each step of a test with a page.
	pageWithin = 30 * time.Second
	// axeWithin bounds a run of axe-core, which looks at every element in many ways.
	axeWithin = 2 * time.Minute
)

// Browser is a headless Chromium with an empty profile.
type Browser struct {
	tb   testkit.TB
	proc *testkit.Process
	url  string // where it takes commands: ws://…
}

// New starts a browser of the test's own. It keeps away from the network
// outside, as far as flags can say so; what a page must not load from there, the
// page has to prove.
func New(tb testkit.TB) *Browser {
	tb.Helper()
	bin := testkit.Need(tb, "chromium", []string{"chromium", "chromium-browser", "google-chrome"})
	dir := testkit.TempDir(tb, "chromium")
	profile := filepath.Join(dir, "profile")
	b := &Browser{tb: tb}
	b.proc = testkit.Start(tb, testkit.Command{
		Name: "chromium",
		Argv: []string{
			bin,
			"--headless",
			"--no-sandbox", // the sandbox cannot be set up by root
			"--disable-gpu",
			"--disable-quic",
			"--disable-dev-shm-usage", // containers give it 64 MB
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
			"--disable-default-apps",
			"--disable-extensions",
			"--mute-audio",
			"--disable-breakpad", // its crash handler would outlive it
			"--disable-crash-reporter",
			"--user-data-dir=" + profile,
			"--remote-debugging-port=0",
			"about:blank",
		},
		Dir: dir,
		// Crash reports and caches go where the profile goes.
		Env: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir, "TMPDIR=" + dir},
	})
	b.proc.AwaitReady(func() bool {
		text, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
		port, path, ok := strings.Cut(strings.TrimSpace(string(text)), "\n")
		b.url = "ws://127.0.0.1:" + port + path
		return err == nil && ok
	})
	return b
}

// Page is one tab of a Browser. Each step ends the test when it fails or takes too
// long. It is not safe for concurrent use.
type Page struct {
	tb  testkit.TB
	ctx context.Context

	mu       sync.Mutex // the browser's events come on goroutines of their own
	requests []string
	problems []string
}

// Page opens an empty tab, which closes with the test.
func (b *Browser) Page() *Page {
	b.tb.Helper()
	ctx, cancelBrowser := remote.NewAllocator(context.Background(), b.url, remote.NoModifyURL)
	ctx, cancelPage := chromedp.NewContext(ctx)
	p := &Page{tb: b.tb, ctx: ctx}
	b.tb.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the tab and waits for what serves it
		cancelPage()
		cancelBrowser()
	})
	// The first call binds the tab's life to its context: no deadline here.
	if err := chromedp.Listen(ctx, p.observe); err != nil {
		b.tb.Fatalf("opening a page: %v; the browser's log:\n%s", err, b.proc.Logs())
	}
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	}
	if err != nil {
		b.tb.Fatalf("watching a page's requests: %v", err)
	}
	return p
}

// NewPage starts a browser and opens a page in it, for tests that need just one.
func NewPage(tb testkit.TB) *Page {
	tb.Helper()
	return New(tb).Page()
}

// observe notes what the page asks the network for and what goes wrong in it.
func (p *Page) observe(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		problem := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			problem += " " + thrown.Description
		}
		p.problems = append(p.problems, problem)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.problems = append(p.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// Requests returns the URLs that the page has asked for so far, data: included.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Problems returns the uncaught exceptions and the errors of the browser's log,
// such as resources that did not load.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.problems)
}

// Open navigates to a URL and waits until the page has loaded.
func (p *Page) Open(url string) {
	p.tb.Helper()
	step(p, "opening "+url, chromedp.Navigate(url))
}

// Title is the document's title.
func (p *Page) Title() string {
	p.tb.Helper()
	return step(p, "reading the title", chromedp.Title())
}

// Text waits for the first element that a CSS selector finds to be visible and
// returns its visible text.
func (p *Page) Text(css string) string {
	p.tb.Helper()
	return step(p, "reading "+css, chromedp.Text(chromedp.CSS(css)))
}

// Click waits for an element to be visible and clicks on it.
func (p *Page) Click(css string) {
	p.tb.Helper()
	step(p, "clicking "+css, chromedp.Click(chromedp.CSS(css)))
}

// Type waits for an element to be visible and types text into it.
func (p *Page) Type(css, text string) {
	p.tb.Helper()
	step(p, "typing into "+css, chromedp.SendKeys(chromedp.CSS(css), text))
}

// Screenshot is a picture of the whole page, as PNG.
func (p *Page) Screenshot() []byte {
	p.tb.Helper()
	return step(p, "taking a picture", chromedp.FullScreenshot(100))
}

// Size makes the window as large as a device's, in CSS pixels.
func (p *Page) Size(width, height int64) {
	p.tb.Helper()
	step(p, "resizing the window", chromedp.EmulateViewport(width, height))
}

// Prefer has the system prefer a colour scheme, "light" or "dark".
func (p *Page) Prefer(scheme string) {
	p.tb.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		p.tb.Fatalf("preferring %s: %v", scheme, err)
	}
}

// Violations are what axe-core finds against the page as it stands, "" for nothing. Its script
// is in a file, in gzip. It is injected as a reader's own console would do it: what a page may
// run is not what a debugger may.
func (p *Page) Violations(axe string) string {
	p.tb.Helper()
	packed, err := os.Open(axe)
	if err != nil {
		p.tb.Fatalf("reading axe-core: %v", err)
	}
	defer packed.Close()
	var script []byte
	r, err := gzip.NewReader(packed)
	if err == nil {
		script, err = io.ReadAll(r)
	}
	if err != nil {
		p.tb.Fatalf("reading axe-core of %s: %v", axe, err)
	}
	stepWithin(p, axeWithin, "injecting axe-core", chromedp.Evaluate[bool](string(script)+";true"))
	return stepWithin(p, axeWithin, "running axe-core", chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.failureSummary).join(" | ")).join("\n"))`, chromedp.EvalAwaitPromise))
}

// WithoutScripts has the page run no script from the next document on.
func (p *Page) WithoutScripts() {
	p.tb.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		p.tb.Fatalf("turning scripts off: %v", err)
	}
}

// Eval evaluates JavaScript in the page, waits if it is a promise, and returns
// its value converted to T by way of JSON.
func Eval[T any](p *Page, js string) T {
	p.tb.Helper()
	return step(p, "evaluating "+js, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// step runs one action within its deadline.
func step[T any](p *Page, what string, action chromedp.Action[T]) T {
	p.tb.Helper()
	return stepWithin(p, pageWithin, what, action)
}

func stepWithin[T any](p *Page, within time.Duration, what string, action chromedp.Action[T]) T {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "No node with given id found") {
		v, err = chromedp.Run(ctx, action) // another page has come between two steps of the action
	}
	if err != nil {
		p.tb.Fatalf("%s: %v", what, err)
	}
	return v
}
