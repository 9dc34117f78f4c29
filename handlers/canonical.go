package handlers

import (
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"hearth/internal/source"
)

// A database may find one row by several spellings of its key. The record has one
// canonical path all the same, that of the row's own key. Readers of the other
// paths are redirected to it. Writers are refused: a client that followed a
// redirect with a write would have to be sure that the row is still the same.

// redirectToCanonical turns "the row has another key" into a redirect.
func (res *resource) redirectToCanonical(err error) error {
	path, other := res.canonicalPath(err)
	switch {
	case !other:
		return err
	case path == "":
		return &problem{status: 404, detail: "no such record", cause: err}
	}
	return &problem{status: 308, header: fasthttp.HeaderLocation, value: path, cause: err,
		detail: "this record has one path, spelt as the row's own key is; it is in Location"}
}

// refuseNonCanonical turns it into the refusal of a write. It comes out of the write's
// own transaction, which found the row and was rolled back.
func (res *resource) refuseNonCanonical(err error) error {
	path, other := res.canonicalPath(err)
	switch {
	case !other:
		return err
	case path == "":
		return &problem{status: 409, cause: err,
			detail: "the row that this path leads to, or would make, has another key, which no path can spell; nothing was changed"}
	}
	return &problem{status: 409, cause: err,
		detail: "the row that this path leads to has another key; nothing was changed. Write to the path that is spelt as the row's own key is: " + path}
}

// canonicalPath returns the path of the row that err says was found, if it says so,
// or "" if no path leads to it. The row's own values go through the parameters'
// canonical form like any client's: a value that no parameter takes has no path.
func (res *resource) canonicalPath(err error) (path string, other bool) {
	spelling, ok := errors.AsType[*source.SpellingError](err)
	if !ok {
		return "", false
	}
	if spelling.Args == nil {
		return "", true
	}
	next := 0
	for _, seg := range res.path {
		text := seg.Literal
		if seg.Param != "" {
			v, reason := res.params[next].Parse(fmt.Sprint(spelling.Args[next]))
			if reason != "" {
				return "", true
			}
			text, next = v.Segment, next+1
		}
		path += "/" + text
	}
	return path, true
}
