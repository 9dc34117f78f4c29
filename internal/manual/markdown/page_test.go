package markdown_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"hearth/internal/manual/markdown"
)

func convert(text string) (string, error) {
	pages, err := markdown.Pages(fstest.MapFS{
		"a.md": {Data: []byte(text)}, "b.md": {Data: []byte("# B\n")}, "drawing.svg": {Data: []byte("<svg/>")}, "screen.png": {},
	})
	return string(pages["a.md.html"]), err
}

func TestPages(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got, err := convert(text); err != nil || !strings.Contains(got, want) {
			t.Errorf("%q becomes %q (%v), want %q in it", text, got, err, want)
		}
	}
	// Names of headings are GitHub's.
	f("## What to do when …", `id="what-to-do-when-"`)
	f("## `redis.wait_replicas`, *and* [more](b.md)", `id="rediswait_replicas-and-more"`)
	f("## A & B", `id="a--b"`)
	f("## Is it live?\n\n## Is it live?", `id="is-it-live-1"`)
	// Links within docs/ lead to pages; what is elsewhere is named.
	f("[b](b.md#x)", `<a href="/manual/b.md#x">b</a>`)
	f("[above](#x)", `<a href="#x">above</a>`)
	f("[far](https://example.org/b.md)", `<a href="https://example.org/b.md">far</a>`)
	f("[the **raw**](../bench/results)", `the <strong>raw</strong> (bench/results)`)
	f("[bench/README.md](../bench/README.md)", `<p>bench/README.md</p>`)
	f("![way](drawing.svg)", `<img src="/manual/drawing.svg" alt="way">`)
	f("![screen](screen.png)", `<p>screen (docs/screen.png)</p>`)
	// Tables.
	f("| | n |\n|---|--:|\n| a | 1 |", `<td></td>`)
	f("| | n |\n|---|--:|\n| a | 1 |", `<td align="right">1</td>`)
	f("| | n |\n|---|--:|\n| a | 1 |", `<div tabindex="0" role="group" aria-label="table"><table>`)
	f("    <pre>", `&lt;pre&gt;`)
	f("before\n\n<!-- a comment -->\n\nbehind", "<p>before</p>\n<p>behind</p>")
}

func TestPagesRefuseHTML(t *testing.T) {
	for _, text := range []string{"a <b>word</b>", "<div>\n", "the file <path>"} {
		if got, err := convert(text); err == nil || !strings.Contains(err.Error(), "a.md") {
			t.Errorf("%q becomes %q (%v), want an error that names the file", text, got, err)
		}
	}
}
