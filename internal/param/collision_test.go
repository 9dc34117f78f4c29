package param_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"hearth/internal/param"
)

// TestNoKeyOfTwoTemplates makes templates and values at random out of few
// pieces, so that keys meet often. Whatever makes one key twice has to be told
// beforehand: two templates by Meets, two lists of values by Ambiguous.
func TestNoKeyOfTwoTemplates(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 11))
	literals := []string{"", "a", ":", "-", "1", "%3A", "%", "x:", "hearth:", "%31", "A"}
	values := map[param.Kind][]string{
		param.Int:    {"1", "-1", "11", "-11", "0", "3"},
		param.String: {"a", "1", "-", ":", "a:1", "%", "%3A", "11", "1-1", "x", "%31", "é", "A", "hearth:1"},
		param.UUID:   {"11111111-1111-1111-1111-111111111111", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"},
	}
	kinds := []param.Kind{param.Int, param.String, param.UUID}
	type made struct {
		tpl    param.Template
		params []param.Param
		values string
	}
	keys := map[string]made{}
	met, alone := 0, 0
	for range 20_000 {
		text, params := "", []param.Param(nil)
		for i := range 1 + rnd.IntN(3) {
			text += literals[rnd.IntN(len(literals))]
			if rnd.IntN(3) > 0 {
				params = append(params, param.Param{Name: "p" + strconv.Itoa(i), Type: kinds[rnd.IntN(len(kinds))]})
				text += "{p" + strconv.Itoa(i) + "}"
			}
		}
		tpl, wrong := param.ParseTemplate(text)
		if left, _ := tpl.Ambiguous(params); wrong != "" || left != "" || tpl.Pattern(params).Meets(param.ReservedPattern()) {
			continue
		}
		key := param.NewKey(tpl.Parts, params)
		for range 5 {
			var list []param.Value
			said := ""
			for _, p := range params {
				v, reason := p.Parse(values[p.Type][rnd.IntN(len(values[p.Type]))])
				if reason != "" {
					t.Fatal(reason)
				}
				list, said = append(list, v), said+v.Segment+"\x00"
			}
			k := key.Of(list...)
			if !key.Matches(k) {
				t.Fatalf("%q %v: %q is none of its keys", text, params, k)
			}
			if got, ok := key.Read(k); !ok || !slices.Equal(got, list) {
				t.Fatalf("%q %v: reading %q gives %v, %v, want %v", text, params, k, got, ok, list)
			}
			if len(k) >= 7 && k[:7] == param.Reserved {
				t.Fatalf("%q %v makes the reserved key %q", text, params, k)
			}
			other, twice := keys[k]
			if !twice {
				keys[k] = made{tpl, params, said}
				alone++
				continue
			}
			met++
			if !tpl.Pattern(params).Meets(other.tpl.Pattern(other.params)) {
				t.Fatalf("%q %v and %q %v: both make %q", text, params, other.tpl.Text, other.params, k)
			}
			if other.tpl.Text == text && len(params) > 0 && params[0] == other.params[0] && said != other.values && sameKinds(params, other.params) {
				t.Fatalf("%q %v: %q and %q make %q", text, params, said, other.values, k)
			}
		}
	}
	if met < 1000 || alone < 1000 {
		t.Errorf("%d keys met and %d did not; the pieces show nothing", met, alone)
	}
}

func sameKinds(a, b []param.Param) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestAlphabetIsTheEncoders holds what Meets believes against what Encode
// writes, byte for byte.
func TestAlphabetIsTheEncoders(t *testing.T) {
	tpl, _ := param.ParseTemplate("{p}")
	str := tpl.Pattern([]param.Param{{Name: "p", Type: param.String}})
	written := map[byte]bool{}
	for c := range 256 {
		for _, w := range []byte(param.Encode(string([]byte{byte(c)}))) {
			written[w] = true
		}
	}
	for c := byte('!'); c <= '~'; c++ {
		if c == '{' || c == '}' {
			continue
		}
		one, wrong := param.ParseTemplate(string(c))
		if wrong != "" {
			t.Fatal(wrong)
		}
		if got := str.Meets(one.Pattern(nil)); got != written[c] {
			t.Errorf("%q: judged %v to be in keys of strings, and Encode says %v", c, got, written[c])
		}
	}
}
