package handlers

import (
	"bytes"
	"encoding/json"
	"mime"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// acceptsGzip against a reading with strings, of fields by the grammar of RFC
// 9110, 12.5.3; whatever else comes, gzip is only sent to who names it or "*".
func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip", "br, gzip;q=0.5", "gzip;q=0", "*;q=0.1", "identity, *;q=0.000", "x-gzip", "GZip ;Q=1", "gzip;q=0.0001", "gzipx", ",,gzip", "gzip;q"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got := acceptsGzip([]byte(field))
		lower := strings.ToLower(field)
		if got && !strings.Contains(lower, "gzip") && !strings.Contains(field, "*") {
			t.Fatalf("%q: sent to who did not ask", field)
		}
		want, ok := modelGzip(lower)
		if ok && got != want {
			t.Errorf("%q: got %v, want %v", field, got, want)
		}
	})
}

// modelGzip returns false for ok when field is not by the grammar.
func modelGzip(field string) (want, ok bool) {
	for _, element := range strings.Split(field, ",") {
		coding, weight, weighted := strings.Cut(element, ";")
		q := 1.0
		if weighted {
			text, found := strings.CutPrefix(strings.Trim(weight, " \t"), "q=")
			v, err := strconv.ParseFloat(text, 64)
			if !found || err != nil || len(text) > 5 || strings.Trim(text, "0123456789.") != "" || text[0] == '.' || v > 1 {
				return false, false
			}
			q = v
		}
		switch strings.Trim(coding, " \t") {
		case "gzip", "x-gzip":
			return q > 0, true
		case "*":
			want = q > 0
		}
	}
	return want, true
}

// mediaType finds the type that package mime finds, where that finds one; and
// isJSON takes nothing that a page may send to another origin without asking.
func FuzzMediaType(f *testing.F) {
	for _, seed := range []string{"application/json", "Application/JSON ; charset=utf-8", "text/plain;application/json", "application/x-www-form-urlencoded", "application/+json", "application/json;", "a/b+json", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if strings.ContainsFunc(field, func(r rune) bool { return (r < ' ' && r != '\t') || r > '~' }) {
			return // mime trims more kinds of blanks than HTTP has
		}
		var h fasthttp.RequestHeader
		h.SetContentType(field)
		got := mediaType(&h)
		if want, _, err := mime.ParseMediaType(string(h.ContentType())); err == nil && got != want {
			t.Errorf("%q: got %q, mime says %q", field, got, want)
		}
		if isJSON(got) && got != "" && (!strings.HasPrefix(got, "application/") || !strings.HasSuffix(got, "json")) {
			t.Errorf("%q counts as JSON", field)
		}
	})
}

// deeper counts the levels that a decoder would descend.
func FuzzDepth(f *testing.F) {
	for _, seed := range []string{`{}`, `[[[]]]`, `{"a":"[[["}`, `["\"[",{"b":[1]}]`, `"\\"`, `[[],[],[[]]]`} {
		f.Add([]byte(seed), 2)
	}
	f.Fuzz(func(t *testing.T, value []byte, limit int) {
		if limit < 0 || limit > 100 || !json.Valid(value) {
			return
		}
		if got, want := deeper(value, limit), depth(value) > limit; got != want {
			t.Errorf("%s, limit %d: got %v, depth is %d", value, limit, got, depth(value))
		}
	})
}

// depth counts levels by the tokens of encoding/json.
func depth(value []byte) (deepest int) {
	dec := json.NewDecoder(bytes.NewReader(value))
	for level := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			level++
			deepest = max(deepest, level)
		case json.Delim(']'), json.Delim('}'):
			level--
		}
	}
}

// What is echoed into headers, the request's id and the fields that a preflight
// asks for, cannot end the line it stands on.
func FuzzEcho(f *testing.F) {
	for _, seed := range []string{"abc-1", "a\r\nb", "X-A, X-B", "a:b", "é", strings.Repeat("a", 65), ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, c := range value {
			word := c < 0x80 && strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", c) >= 0
			if isID(value) && !word {
				t.Fatalf("%q is an id", value)
			}
			if isTokenList(value) && !word && c != ',' && c != ' ' && c != '~' && c != '@' {
				t.Fatalf("%q is a list of names", value)
			}
		}
		if isID(value) && (len(value) == 0 || len(value) > 64) {
			t.Fatalf("%q is an id of %d bytes", value, len(value))
		}
	})
}
