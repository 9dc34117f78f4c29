package browser_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
	"hearth/internal/testkit/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChromiumRunsAPage(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	for _, word := range []string{"one", "two"} {
		p := b.Page()
		p.Open(`data:text/html,<title>` + word + `</title><input id=in><button onclick="out.textContent = document.title + ' ' + document.getElementById('in').value">go</button><p id=out>?</p>`)
		p.Type("#in", "typed")
		p.Click("button")
		if got, want := p.Text("#out"), word+" typed"; got != want {
			t.Errorf("the page shows %q, want %q", got, want)
		}
		if got := p.Title(); got != word {
			t.Errorf("title %q, want %q", got, word)
		}
		if got := browser.Eval[int](p, "Promise.resolve(6 * 7)"); got != 42 {
			t.Errorf("6 * 7 = %d", got)
		}
		if got := p.Screenshot(); !bytes.HasPrefix(got, []byte("\x89PNG")) {
			t.Errorf("the picture begins %q", got[:min(8, len(got))])
		}
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q", got)
		}
	}
}

func TestChromiumTellsRequestsAndProblems(t *testing.T) {
	t.Parallel()
	nowhere := fmt.Sprintf("http://127.0.0.1:%d/lost.js", testkit.FreePort(t))
	p := browser.NewPage(t)
	p.Open(`data:text/html,<script src="` + nowhere + `"></script><script>missing()</script>`)
	if got := p.Requests(); !slices.Contains(got, nowhere) {
		t.Errorf("requests %q, want %s among them", got, nowhere)
	}
	testkit.Eventually(t, 10*time.Second, "both problems are told", func() bool {
		all := strings.Join(p.Problems(), "\n")
		return strings.Contains(all, nowhere) && strings.Contains(all, "missing is not defined")
	})
}
