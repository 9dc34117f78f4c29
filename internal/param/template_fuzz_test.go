package param_test

import (
	"strconv"
	"strings"
	"testing"

	"hearth/internal/param"
)

// A template is the sum of its parts, and two of its keys are one only if they
// are made of the same values, unless it is called ambiguous.
func FuzzTemplate(f *testing.F) {
	f.Add("user:{id}", "1", "2", "1", "2")
	f.Add("{a}:{b}", "x", "y:z", "x:y", "z")
	f.Add("{a}-{b}", "a-b", "c", "a", "b-c")
	f.Add("p:{a}{b}", "1", "12", "11", "2")
	f.Add("hearth:{a}", "", "", "", "")
	f.Fuzz(func(t *testing.T, text, a, b, c, d string) {
		tpl, wrong := param.ParseTemplate(text)
		if wrong != "" {
			return
		}
		var sum strings.Builder
		var params []string
		for _, p := range tpl.Parts {
			if p.Param == "" {
				sum.WriteString(p.Literal)
				continue
			}
			sum.WriteString("{" + p.Param + "}")
			params = append(params, p.Param)
		}
		if sum.String() != text || strings.HasPrefix(text, "hearth:") {
			t.Fatalf("%q became %q", text, sum.String())
		}
		if len(params) != 2 || params[0] == params[1] {
			return
		}
		types := []param.Param{{Name: params[0], Type: param.String}, {Name: params[1], Type: param.String}}
		if left, _ := tpl.Ambiguous(types); left != "" {
			return
		}
		one, two := map[string]string{params[0]: segment(a), params[1]: segment(b)}, map[string]string{params[0]: segment(c), params[1]: segment(d)}
		if keyOf(tpl, one) == keyOf(tpl, two) && (segment(a) != segment(c) || segment(b) != segment(d)) {
			t.Errorf("%q: %v and %v share the key %q", text, one, two, keyOf(tpl, one))
		}
	})
}

// segment is a value as it stands in a key: not empty, and percent-encoded.
func segment(value string) string {
	var s strings.Builder
	for _, c := range []byte("v" + value) {
		if c < 0x80 && strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~@-", c) >= 0 {
			s.WriteByte(c)
		} else {
			s.WriteString("%" + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
		}
	}
	return s.String()
}

func keyOf(tpl param.Template, values map[string]string) string {
	var key strings.Builder
	for _, p := range tpl.Parts {
		key.WriteString(p.Literal + values[p.Param])
	}
	return key.String()
}

// A path is the sum of its segments.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/user/{id:int}", "/a/{b:uuid}/c/{d:string}", "/", "//", "/{a}", "/{a:b}/x", "/a/../b", "/a%2f", "/{body:int}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, wrong := param.ParsePath(text)
		if wrong != "" {
			return
		}
		var sum strings.Builder
		for _, s := range p.Segments {
			if s.Param != "" {
				sum.WriteString("/{" + s.Param + ":" + string(s.Type) + "}")
			} else {
				sum.WriteString("/" + s.Literal)
			}
		}
		if sum.String() != text || strings.ContainsAny(text, "%?#\r\n \x00") {
			t.Errorf("%q became %q", text, sum.String())
		}
	})
}
