package handlers

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"hearth/internal/param"
)

// What a batch accepts, encoding/json accepts, with the same ids and bytes.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"id":1},{"id":"1","a":[1,2,{}]}]`, `[{"id":"é\u0000"}]`, `[{"id":1e2}]`, `[{"id":1},]`,
		`[{"i\u0064":-0}]`, `[{"id":"a","id":"b"}]`, ` [ { "id" : "x" } ] `, `[{"id":9223372036854775807}]`, `[{"id":"\ud83d\ude00"}]`, `[{"ID":1,"id":2}]`} {
		f.Add([]byte(seed), false)
	}
	f.Add([]byte(`[{"id":1,"a":2,"a":3},{}]`), false)
	f.Add([]byte(`[{"id":true},{"id":}]`), false)
	f.Add([]byte("{\"id\":1}\n\n{\"id\":\"b\"}\r\n"), true)
	f.Add([]byte("{\"id\":1}{\"id\":2}"), true)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		b := batchBody{
			body: bytes.Clone(body), param: param.Param{Name: "id", Type: param.String}, limit: 50,
			key: param.NewKey([]param.Part{{Literal: "item:"}, {Param: "id"}}, []param.Param{{Name: "id", Type: param.String}}),
		}
		err := b.read(lines)
		decoded := batchBody{body: bytes.Clone(body), param: b.param, key: b.key, limit: b.limit, levels: b.levels}
		if errDecoded := decoded.decode(lines); (err == nil) != (errDecoded == nil) || err != nil && err.Error() != errDecoded.Error() {
			t.Fatalf("read says %v, a decoder alone %v", err, errDecoded)
		}
		if err == nil && (decoded.count != b.count || string(decoded.keys) != string(b.keys)) {
			t.Fatalf("read found %d items of keys %q, a decoder alone %d of %q", b.count, b.keys, decoded.count, decoded.keys)
		}
		if err != nil {
			if p := problemOf(err); p.status != 400 && p.status != 413 && p.status != 422 {
				t.Fatalf("refused with %d: %v", p.status, err)
			}
			return
		}
		want := decodeBatch(t, body, lines)
		if b.count != len(want) {
			t.Fatalf("count: got %d, encoding/json sees %d items", b.count, len(want))
		}
		last := map[string]string{}
		for _, raw := range want {
			last["item:"+param.Encode(idOf(t, raw))] = string(raw)
		}
		if len(b.items) != len(last) {
			t.Fatalf("distinct items: got %d, want %d", len(b.items), len(last))
		}
		for _, item := range b.items {
			if last[item.Key] != string(item.Value) {
				t.Errorf("%s: got %q, want %q", item.Key, item.Value, last[item.Key])
			}
		}
	})
}

func decodeBatch(t *testing.T, body []byte, lines bool) []json.RawMessage {
	t.Helper()
	var items []json.RawMessage
	if !lines {
		if err := json.Unmarshal(body, &items); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		return items
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if !json.Valid(line) {
				t.Fatalf("accepted a line that encoding/json refuses: %q", line)
			}
			items = append(items, line)
		}
	}
	return items
}

// idOf reads the id as encoding/json sees it, names compared exactly.
func idOf(t *testing.T, item []byte) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(item, &members); err != nil {
		t.Fatalf("accepted an item that is no object: %v", err)
	}
	var text string
	if json.Unmarshal(members["id"], &text) == nil {
		return text
	}
	var n int64
	if err := json.Unmarshal(members["id"], &n); err != nil {
		t.Fatalf("accepted the id %s: %v", members["id"], err)
	}
	return strconv.FormatInt(n, 10)
}

// A list that holds the tag matches, whatever stands around it; one without
// its bytes never does.
func FuzzETagList(f *testing.F) {
	for _, seed := range []string{`*`, `"a"`, `W/"a", "b"`, `"a" "b"`, `W/`, `"`, `,, "x,y" ,`, "\t\"a\"\t"} {
		f.Add(seed)
	}
	const etag = `W/"0123456789abcdef"`
	f.Fuzz(func(t *testing.T, list string) {
		got := matchesWeakly([]byte(list), []byte(etag))
		if got && strings.Trim(list, " \t") != "*" && !strings.Contains(list, `"0123456789abcdef"`) {
			t.Errorf("%q matches %s", list, etag)
		}
		for _, holds := range []string{etag, etag + "," + list, " ,\t" + etag[2:] + " , " + list} {
			if !matchesWeakly([]byte(holds), []byte(etag)) {
				t.Errorf("%q does not match %s", holds, etag)
			}
		}
		_ = acceptsGzip([]byte(list)) // must not panic
	})
}

func TestAcceptsGzip(t *testing.T) {
	for field, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br": false, "br, gzip": true, "gzip;q=0": false,
		"gzip; q=0.000": false, "gzip;q=0.001": true, "*": true, "*;q=0": false, "*;q=0, gzip": true, "identity, *;q=0.1": true,
		"gzipped": false, ",,gzip": true, "gzip;q=0, *": false,
	} {
		if got := acceptsGzip([]byte(field)); got != want {
			t.Errorf("%q: got %v, want %v", field, got, want)
		}
	}
}

// Problem texts are JSON whatever bytes a name has.
func FuzzProblem(f *testing.F) {
	f.Add("a\"b\\\x00\xff")
	f.Fuzz(func(t *testing.T, detail string) {
		var p struct{ Detail string }
		if err := json.Unmarshal(refuse(400, detail).appendJSON(nil), &p); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(detail) && p.Detail != detail {
			t.Errorf("got %q, want %q", p.Detail, detail)
		}
	})
}
