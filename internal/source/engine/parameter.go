package engine

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"hearth/internal/param"
)

// Parameters are what may stand behind the question mark of a database's URL. A driver
// sends what it does not know to the server, which refuses the connection then: a typo
// has to be found when it is written, and named.
type Parameters struct {
	Known   []string
	Session []string          // settings of the server that are often set so
	Instead map[string]string // by names of others, what to write; several stand with blanks between
	Further string            // how any other setting of the server is written
}

// Check names the first parameter that is unknown or stands twice. It shows no value.
func (p Parameters) Check(q url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if len(q[name]) > 1 {
			return fmt.Errorf("the parameter %q stands twice; keep one of the two", name)
		}
		if slices.Contains(p.Known, name) || slices.ContainsFunc(p.Session, func(s string) bool { return strings.EqualFold(s, name) }) {
			continue
		}
		for others, text := range p.Instead {
			if slices.Contains(strings.Fields(others), name) {
				return fmt.Errorf("the parameter %q has no effect here: %s", name, text)
			}
		}
		if meant := p.meant(name); meant != "" {
			return fmt.Errorf("unknown parameter %q; did you mean %s?", name, meant)
		}
		return fmt.Errorf("unknown parameter %q; leave it out, or write a setting of the server as %s", name, p.Further)
	}
	return nil
}

// meant is the known parameter from which name differs by its case, its dashes and
// underscores, or by one or two letters; "" if there is none.
func (p Parameters) meant(name string) string {
	folded := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s)) }
	best, least := "", min(2, max(1, len(name)/4))+1
	for _, k := range slices.Sorted(slices.Values(slices.Concat(p.Known, p.Session))) {
		if d := param.Distance(folded(name), folded(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// ReadableFile tells what is wrong with the file that a parameter names.
func ReadableFile(name, path string) error {
	f, err := os.Open(path)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("%s: %w; make it readable to the server's user, or correct the path", name, err)
	}
	return nil
}

// ErrAmbiguous is of a URL of which a part may be a password that was not encoded.
var ErrAmbiguous = errors.New("the URL has a # or an @ where neither can stand; percent-encode special characters of the password, @ as %40, # as %23, ? as %3F")
