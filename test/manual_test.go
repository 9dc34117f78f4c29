package test

import "hearth/internal/testkit/browser"

// checkManual follows the dashboard's link to the manual, reads and searches, on a desktop and a
// phone, light and dark, and asks axe-core whether anybody is kept out.
func (w *observed) checkManual() {
	w.t.Helper()
	look := func(p *browser.Page, what string, width int) {
		w.t.Helper()
		if got := p.Violations("testdata/axe/axe.min.js.gz"); got != "" {
			w.t.Errorf("%s: %s", what, got)
		}
		if wide := browser.Eval[int](p, `document.documentElement.scrollWidth`); wide > width {
			w.t.Errorf("%s: the page is %d wide", what, wide)
		}
	}
	p := w.browser.Page()
	p.Size(1280, 900)
	p.Prefer("light")
	p.Open(w.url + "/")
	p.Click(`header a[href="/manual"]`)
	p.Click(`main a[href="/manual/feed.md"]`)
	eventually(w.t, p, "the page is there", `location.pathname === "/manual/feed.md" && document.readyState === "complete"`)
	look(p, "a page", 1280)
	p.Open(w.url + "/manual/architecture.md")
	if !browser.Eval[bool](p, `document.images[0].naturalWidth > 0`) {
		w.t.Error("the drawing is not shown")
	}
	p.Size(390, 844)
	p.Prefer("dark")
	p.Type("#q", "pgbouncer\r")
	eventually(w.t, p, "the search finds", `document.readyState === "complete" && document.querySelectorAll(".found mark").length > 0`)
	look(p, "a search on a phone", 390)
	w.checkQuiet(p)
}
