package openapi_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	if got := browser.Eval[int](p, `document.querySelectorAll(".op .op-head .method").length`); got != want {
		t.Errorf("the page lists %d operations, want %d", got, want)
	}
	if got := browser.Eval[int](p, `document.querySelectorAll("#nav a .method").length`); got != want {
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

	// What explains the answer names the record that the form does, and to a reader on this
	// machine the page says where it is explained.
	p.Type("#getUser .field input", "7 x")
	wantAll(t, p.Text("#getUser .explain"), "hearth explain /user/7%20x1")
	if got := browser.Eval[string](p, `document.querySelector("#getUser .below a").href`); got != dashboard+"#explain=%2Fuser%2F7%2520x1" {
		t.Errorf("the dashboard is linked as %q", got)
	}

	// A repeated parameter, with one more value.
	p.Click("#getManyUser .op-head")
	p.Click("#getManyUser fieldset > button")
	p.Type("#getManyUser .row:last-child input", "a/b&c")
	wantAll(t, send(t, p, "getManyUser"), "200 OK", "user_id=1&user_id=1000000&user_id=a%2Fb%26c")

	// The other content type brings its own example.
	p.Click("#postBatchProcess .op-head")
	browser.Eval[bool](p, `(() => { const s = document.querySelector("#postBatchProcess select"); s.value = "application/x-ndjson"; return s.dispatchEvent(new Event("change")); })()`)
	wantAll(t, send(t, p, "postBatchProcess"), "200 OK", "application/x-ndjson", `\"name\":\"lamp\",\"price\":12.5}\n{\"id\":2`)

	p.Click("#headUser .op-head")
	wantAll(t, send(t, p, "headUser"), "200 OK", "No body.", `W/"5f1d"`)
}

// TestBrowserSendsWhatTheCommandSends: a write carries the token and the edited body. So does
// the command in a shell, which names the token and does not show it.
func TestBrowserSendsWhatTheCommandSends(t *testing.T) {
	curl := testkit.Need(t, "curl", []string{"curl"})
	p := open(t, full(), "#putUser")
	wantAll(t, p.Text("#putUser .needs"), "Without a token this is answered 401.")
	p.Type("#token", "Bearer s3cret")
	wantAll(t, p.Text("#putUser .needs"), "Sends the token.")
	p.Type("#putUser .field input", `'$(id)"`)
	p.Click("#putUser form details summary")
	p.Type("#putUser details .field input", `"a'b"`)
	hostile := `{"name":"it's $HOME \u0060id\u0060 \\ !x","city":"北京\\n\"%41"}`
	browser.Eval[bool](p, `(() => { const a = document.querySelector("#putUser textarea"); a.value = `+quoted(hostile)+`; return a.dispatchEvent(new Event("input")); })()`)
	send(t, p, "putUser")
	sent := browser.Eval[string](p, `document.querySelector("#putUser .body").textContent`)
	wantAll(t, sent, `"uri": "/user/'%24(id)%221"`, `"condition": "\"a'b\""`, `"token": "Bearer s3cret"`, `"type": "application/json"`, `$HOME`)
	command := browser.Eval[string](p, `document.querySelector("#putUser .curl").textContent`)
	wantAll(t, command, "curl --include --request PUT 'http://127.0.0.1:", `"Authorization: Bearer $HEARTH_TOKEN"`)
	if strings.Contains(command, "s3cret") || strings.Contains(browser.Eval[string](p, "location.href"), "s3cret") {
		t.Errorf("the command %q or the address shows the token", command)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "curl --include", curl+" --silent", 1))
	shell.Env = append(os.Environ(), "HEARTH_TOKEN=s3cret")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\nof %s", err, out, command)
	}
	var bySend, byShell any
	if err := errors.Join(json.Unmarshal([]byte(sent), &bySend), json.Unmarshal(out, &byShell)); err != nil {
		t.Fatalf("%v: %s and %s", err, sent, out)
	}
	if diff := cmp.Diff(bySend, byShell); diff != "" {
		t.Errorf("the command sends other things than the page (-page +shell):\n%s", diff)
	}
	p.Click("#forget")
	wantAll(t, p.Text("#putUser .needs"), "Without a token this is answered 401.")
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
	wantAll(t, p.Text("#state"), "Nothing matches")
	browser.Eval[bool](p, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}))`)
	if got := shown(); got != all {
		t.Errorf("after Escape %d operations are shown, want %d", got, all)
	}
	if !browser.Eval[bool](p, `document.querySelector("#token").checkVisibility() === false`) {
		t.Error("a server without tokens has a field for one")
	}
	// A schema is linked from what has it, and tells who else has.
	p.Click("#putUser .tell details summary")
	p.Click("#putUser .tell a[href='#schema-UserBody']")
	waitFor(t, p, "the schema", `document.querySelector("#schema-UserBody .fields") !== null`)
	wantAll(t, p.Text("#schema-UserBody"), "object, no other members", "name", "string or null", "required", "Used by", "PUT /user/{user_id}")
	p.Click("#schema-Problem .op-head")
	wantAll(t, p.Text("#schema-Problem"), "string (uri-reference)", "at least 400", "GET /user/{user_id}")
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
	if got := browser.Eval[int](p, `document.querySelectorAll(".op-body:not([hidden]) .tell").length - document.querySelectorAll(".op").length`); got != 0 {
		t.Errorf("%d panels did not open", -got)
	}
	if got := p.Title(); got != attack {
		t.Errorf("title = %q, want %q", got, attack)
	}
}

// quoted is text as a literal of JavaScript.
func quoted(text string) string {
	literal, _ := json.Marshal(text) // text can always be written
	return string(literal)
}

// TestBrowserOnEveryDevice opens panels of each kind on a desktop and a phone, light and dark,
// and asks axe-core whether anybody is kept out. Without scripts there are tables.
func TestBrowserOnEveryDevice(t *testing.T) {
	api := demo()
	api.TokensRequired = true
	s := server(t, api)
	b := browser.New(t)
	for _, device := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"desktop", 1440, 900, "light"}, {"phone in the dark", 390, 844, "dark"}} {
		p := b.Page()
		p.Size(device.width, device.height)
		p.Prefer(device.scheme)
		p.Open(s.URL + "/docs#putUser")
		waitFor(t, p, "the operations", `document.querySelector("#putUser .send") !== null`)
		send(t, p, "putUser")
		for _, open := range []string{"getManyUser", "schema-UserAnswer"} {
			browser.Eval[int](p, `document.querySelectorAll("#`+open+` .op-head").forEach((b) => b.click()), document.querySelectorAll("#`+open+` details").forEach((d) => { d.open = true; }), 0`)
		}
		if got := p.Violations("../../test/testdata/axe/axe.min.js.gz"); got != "" {
			t.Errorf("%s: %s", device.name, got)
		}
		if wide := browser.Eval[int](p, `document.documentElement.scrollWidth`); wide > int(device.width) {
			t.Errorf("%s: the page is %d wide", device.name, wide)
		}
		checkQuiet(t, p, s.URL)
	}
	p := b.Page()
	p.WithoutScripts()
	p.Open(s.URL + "/docs")
	wantAll(t, p.Text("main"), "Without scripts", "/user/{user_id}", "Store user", "UserBody")
	p.Click("main a[href='./user/1']")
	wantAll(t, p.Text("body"), `"source":"cache"`)
}
