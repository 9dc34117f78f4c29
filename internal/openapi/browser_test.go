package openapi_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"hearth/internal/openapi"
	"hearth/internal/testkit"
	"hearth/internal/testkit/browser"
)

// open opens the docs of api in a browser and waits until they are listed.
func open(t *testing.T, api openapi.API, fragment string) *browser.Page {
	t.Helper()
	s := server(t, api)
	p := browser.NewPage(t)
	t.Cleanup(func() { checkQuiet(t, p, s.URL) })
	p.Open(s.URL + "/docs" + fragment)
	waitFor(t, p, "the operations", `document.querySelector(".op") !== null`)
	return p
}

// checkQuiet holds against a page every request to another host, and whatever
// the browser complained about: a breach of the policy, an exception.
func checkQuiet(t *testing.T, p *browser.Page, own string) {
	t.Helper()
	for _, address := range p.Requests() {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "data" && u.Scheme+"://"+u.Host != own {
			t.Errorf("the page asked for %s, outside of %s", address, own)
		}
	}
	for _, problem := range p.Problems() {
		t.Errorf("the browser reports: %s", problem)
	}
}

// waitFor waits until an expression is true in the page.
func waitFor(t *testing.T, p *browser.Page, what, expression string) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, what, func() bool { return browser.Eval[bool](p, expression) })
}

// send presses an operation's button and returns the answer as it is shown.
func send(t *testing.T, p *browser.Page, id string) string {
	t.Helper()
	p.Click("#" + id + " .send")
	waitFor(t, p, "an answer for "+id, `document.querySelector("#`+id+` .result .outcome") !== null`)
	return p.Text("#" + id + " .result")
}

func wantAll(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("got %q\nwant it to contain %q", got, w)
		}
	}
}

func TestBrowserListsAndTriesOperations(t *testing.T) {
	api := full()
	p := open(t, api, "")
	_, doc := generate(t, api)
	want := len(operations(doc))
	if got := browser.Eval[int](p, `document.querySelectorAll(".op").length`); got != want {
		t.Errorf("the page lists %d operations, want %d", got, want)
	}
	if got := browser.Eval[int](p, `document.querySelectorAll("#nav a").length`); got != want {
		t.Errorf("the list beside has %d links, want %d", got, want)
	}
	if got := browser.Eval[bool](p, `document.documentElement.scrollWidth <= innerWidth`); !got {
		t.Error("the page is wider than its window")
	}

	// Numbers beyond a double arrive unharmed, and
	// markup in an answer stays text.
	p.Click("#getUser .op-head")
	wantAll(t, send(t, p, "getUser"), "200 OK", " ms", `"id": 9007199254740993`, `"name": "<b>张三</b>"`, `"source": "cache"`, "Hearth-Memory; hit; ttl=41")
	if browser.Eval[bool](p, `document.querySelector("#getUser .result b") !== null`) {
		t.Error("an answer became markup")
	}
	wantAll(t, p.Text("#getUser .curl"), "curl --include 'http://127.0.0.1:", "/user/1'")

	// A repeated parameter, with one more value.
	p.Click("#getManyUser .op-head")
	p.Click("#getManyUser fieldset > button")
	p.Type("#getManyUser .row:last-child input", "a/b&c")
	wantAll(t, send(t, p, "getManyUser"), "200 OK", "user_id=1&user_id=1000000&user_id=a%2Fb%26c")

	// A write carries the token and the edited body; the command does not show it.
	p.Type("#token", "s3cret")
	p.Click("#putUser .op-head")
	p.Type("#putUser textarea", " ")
	wantAll(t, send(t, p, "putUser"), "200 OK", `"token": "Bearer s3cret"`, `"type": "application/json"`, `"city": "北京"`)
	command := p.Text("#putUser .curl")
	wantAll(t, command, "--request PUT", `"Authorization: Bearer $TOKEN"`)
	if strings.Contains(command, "s3cret") {
		t.Errorf("the command %q shows the token", command)
	}

	// The other content type brings its own example.
	p.Click("#postBatchProcess .op-head")
	browser.Eval[bool](p, `(() => { const s = document.querySelector("#postBatchProcess select"); s.value = "application/x-ndjson"; return s.dispatchEvent(new Event("change")); })()`)
	wantAll(t, send(t, p, "postBatchProcess"), "200 OK", "application/x-ndjson", `\"name\":\"lamp\",\"price\":12.5}\n{\"id\":2`)

	p.Click("#headUser .op-head")
	wantAll(t, send(t, p, "headUser"), "200 OK", "No body.", `W/"5f1d"`)
}

func TestBrowserFiltersAndLinks(t *testing.T) {
	p := open(t, demo(), "#putUser")
	shown := func() int { return browser.Eval[int](p, `document.querySelectorAll(".op:not([hidden])").length`) }
	all := shown()
	if !browser.Eval[bool](p, `document.querySelector("#putUser .send") !== null && document.querySelector("#getUser .send") === null`) {
		t.Error("the address names putUser, which is not the one that is open")
	}
	browser.Eval[bool](p, `document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true}))`)
	if got := browser.Eval[string](p, `document.activeElement.id`); got != "filter" {
		t.Errorf("after pressing / the focus is on %q, want filter", got)
	}
	p.Type("#filter", "delete USER")
	if got := shown(); got != 1 {
		t.Errorf("the filter leaves %d operations, want 1", got)
	}
	p.Type("#filter", " nonsense")
	wantAll(t, p.Text("#state"), "No operation matches")
	browser.Eval[bool](p, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}))`)
	if got := shown(); got != all {
		t.Errorf("after Escape %d operations are shown, want %d", got, all)
	}
	if !browser.Eval[bool](p, `document.querySelector("#token").checkVisibility() === false`) {
		t.Error("a server without tokens has a field for one")
	}
	// The list is hidden in a window as narrow as this one; its links work all the same.
	browser.Eval[int](p, `document.querySelector("#nav a[href='#getHealth']").click(), 0`)
	waitFor(t, p, "the operation behind a link", `document.querySelector("#getHealth .send") !== null`)
	p.Click("#getHealth .op-head")
	if got := browser.Eval[string](p, `document.querySelector("#getHealth .op-head").getAttribute("aria-expanded")`); got != "false" {
		t.Errorf("after closing it aria-expanded is %q, want false", got)
	}
}

// TestBrowserTakesNoMarkup describes a server whose every text is an attack.
func TestBrowserTakesNoMarkup(t *testing.T) {
	const attack = `<img src="https://attacker.example/x" onerror="document.title='broken'">`
	quoted, err := json.Marshal(attack)
	if err != nil {
		t.Fatal(err)
	}
	api := demo()
	api.Title, api.Version, api.Description = attack, attack, attack
	user := &api.Resources[0]
	user.Name, user.Envelope = attack, attack
	user.Example = quoted
	user.PutExample = json.RawMessage(`{` + string(quoted) + `:` + string(quoted) + `}`)
	user.PutMembers = []openapi.Member{{Name: attack}}
	p := open(t, api, "")
	browser.Eval[int](p, `document.querySelectorAll(".op-head[aria-expanded=false]").forEach((b) => b.click()), document.querySelectorAll("details").forEach((d) => { d.open = true; }), 0`)
	if got := browser.Eval[int](p, `document.querySelectorAll("img, [onerror]").length`); got != 0 {
		t.Errorf("the page has %d elements that the document brought in, want 0", got)
	}
	if got := p.Title(); got != attack {
		t.Errorf("title = %q, want %q", got, attack)
	}
}
