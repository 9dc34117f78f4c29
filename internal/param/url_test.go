package param_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/param"
)

func TestURLsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "begins with neither http:// nor https://",
		"ftp://h/{id}":        "begins with neither http:// nor https://",
		"http:///{id}":        "is no URL",
		"http://{id}/x":       "in its host",
		"http://h{id}?x":      "in its host",
		"http://h/x}":         "brace",
		"http://h/{}":         "brace",
		"http://h/{{id}}":     "brace",
		"http://h/{id}#x":     "fragment",
		"http://h:port/{id}":  "is no URL",
		"http://h:99999/{id}": "port",
		"http://h:0/{id}":     "port",
		"https://h/%zz/{id}":  "is no URL",
	} {
		if _, wrong := param.ParseURL(text); !strings.Contains(wrong, want) {
			t.Errorf("%q: got %q, want %q", text, wrong, want)
		}
	}
}

func TestPartsOfAURL(t *testing.T) {
	const text = "https://h:8443/a-{x}/{y}.json?b={x}"
	got, wrong := param.ParseURL(text)
	want := param.URL{
		Text: text, Secure: true, Host: "h:8443",
		Parts: []param.Part{
			{Literal: "https://h:8443/a-"}, {Param: "x"}, {Literal: "/"}, {Param: "y"}, {Literal: ".json?b="}, {Param: "x"},
		},
		Path: [][]param.Part{nil, {{Literal: "a-"}, {Param: "x"}}, {{Param: "y"}, {Literal: ".json"}}},
	}
	if diff := cmp.Diff(want, got); wrong != "" || diff != "" {
		t.Errorf("%s (-want +got):\n%s", wrong, diff)
	}
}
