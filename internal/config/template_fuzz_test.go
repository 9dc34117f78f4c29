package config_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/config"
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
		tpl, wrong := config.ParseTemplate(text)
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
		types := map[string]string{params[0]: "string", params[1]: "string"}
		if config.Ambiguous(tpl, types) {
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

func keyOf(tpl config.Template, values map[string]string) string {
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
		p, wrong := config.ParsePath(text)
		if wrong != "" {
			return
		}
		var sum strings.Builder
		for _, s := range p.Segments {
			if s.Param != "" {
				sum.WriteString("/{" + s.Param + ":" + s.Type + "}")
			} else {
				sum.WriteString("/" + s.Literal)
			}
		}
		if sum.String() != text || strings.ContainsAny(text, "%?#\r\n \x00") {
			t.Errorf("%q became %q", text, sum.String())
		}
	})
}

// A rate, read by a plain model: digits, a slash, a letter.
func FuzzRate(f *testing.F) {
	for _, seed := range []string{"100/s", "5000/m", "1/h", "0/s", "+1/s", "1/d", "1e3/s", "1000000001/s", "1_0/s", "/s", "1/", "00/s", "01/s", " 1/s"} {
		f.Add(seed)
	}
	windows := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := config.ParseRate(text)
		digits, unit, _ := strings.Cut(text, "/")
		n, err := strconv.ParseInt(digits, 10, 64)
		want := err == nil && n >= 1 && n <= 1_000_000_000 && strings.Trim(digits, "0123456789") == "" && len(unit) == 1 && windows[unit[0]] > 0
		if ok != want || ok && (int64(got.Count) != n || got.Window != windows[unit[0]]) {
			t.Errorf("%q: got %+v, %v, want %v", text, got, ok, want)
		}
	})
}

// A size that is taken is the product of its count and its unit.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"8MiB", "512 KiB", "4096", "9223372036854775807", "8796093022208MiB", "1GiB", "1gib", "-1", "1.5MiB", ""} {
		f.Add(seed)
	}
	units := map[string]float64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := config.ParseSize(text)
		if !ok {
			return
		}
		text = strings.Trim(text, " \t\n\f\r") // blanks around it, whichever, do no harm
		digits := strings.TrimRight(text, " \t\n\f\rKMGiB")
		n, err := strconv.ParseFloat(digits, 64)
		want := n * units[strings.TrimSpace(strings.TrimPrefix(text, digits))]
		if got < 0 || err != nil || math.Abs(float64(got)-want) > want*1e-9 {
			t.Errorf("%q: got %d, want %v (%v)", text, got, want, err)
		}
	})
}
