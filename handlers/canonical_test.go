package handlers

import (
	"errors"
	"fmt"
	"testing"

	"hearth/internal/param"
	"hearth/internal/source"
)

// TestCanonicalPath makes the path of a row out of its own parameters.
func TestCanonicalPath(t *testing.T) {
	path := []param.Segment{{Literal: "pair"}, {Param: "a", Type: param.String}, {Literal: "of"}, {Param: "b", Type: param.Int}}
	res := &resource{path: path, params: param.Params(path)}
	f := func(want string, args ...any) {
		t.Helper()
		err := fmt.Errorf("loading: %w", &source.SpellingError{Args: args})
		if got, other := res.canonicalPath(err); got != want || !other {
			t.Errorf("%q: got %q, %v, want %q", args, got, other, want)
		}
	}
	f("/pair/Ann@x/of/-3", "Ann@x", int64(-3))
	f("/pair/a%2Fb%3F%20%C3%A9%25/of/0", "a/b? é%", int64(0))
	f("/pair/%2F%2Fevil.test/of/1", "//evil.test", int64(1))
	f("", "a\nb", int64(1)) // no path can spell it
	f("")
	if _, other := res.canonicalPath(errors.New("else")); other {
		t.Error("any error is taken for another spelling")
	}
	for _, c := range []struct {
		err    error
		status int
	}{
		{res.redirectToCanonical(&source.SpellingError{Args: source.Args{"x", int64(1)}}), 308},
		{res.redirectToCanonical(&source.SpellingError{}), 404},
		{res.refuseNonCanonical(&source.SpellingError{Args: source.Args{"x", int64(1)}}), 409},
		{res.refuseNonCanonical(&source.SpellingError{}), 409},
	} {
		if p := problemOf(c.err); p.status != c.status || (p.value != "") != (c.status == 308) {
			t.Errorf("got %d with %q, want %d", p.status, p.value, c.status)
		}
	}
}
