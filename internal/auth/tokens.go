// Package auth decides who may write, administer and scrape: bearer tokens
// with scopes, the start-up rule for servers without tokens, and the origin
// rule that protects those from web pages.
//
// It knows no HTTP library: it takes the values of header fields and returns
// decisions. So the public and the admin listener, which differ in everything
// else, cannot differ in this.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// Token is one named bearer token.
type Token struct {
	Name   string // for logs; never secret
	Scopes Scope  // what it opens
	Secret string // visible ASCII
}

// Tokens are the configured bearer tokens. They are immutable, safe for
// concurrent use, and keep digests only.
type Tokens struct {
	all []digested
}

type digested struct {
	name   string
	scopes Scope
	digest [sha256.Size]byte
}

// New returns Tokens of what Validate accepts. Without any, nothing needs a
// token (see Open).
func New(tokens []Token) *Tokens {
	t := &Tokens{all: make([]digested, 0, len(tokens))}
	for _, one := range tokens {
		t.all = append(t.all, digested{one.Name, one.Scopes, sha256.Sum256([]byte(one.Secret))})
	}
	return t
}

// Open reports that no token is configured: Check then lets all requests pass,
// and ForeignOrigin is what protects writes from web pages.
func (t *Tokens) Open() bool { return len(t.all) == 0 }

// Grants reports that some token has the scope.
func (t *Tokens) Grants(scope Scope) bool {
	return slices.ContainsFunc(t.all, func(one digested) bool { return one.scopes&scope != 0 })
}

// Check decides on the lines of an Authorization field. Wanted lists the scopes
// of which one suffices. The name is that of the token whenever it is a known
// one, also under WrongScope, so that a log can say whose it was; it is empty
// when no token is configured.
//
// The field may occur once: which of two a proxy in front has looked at cannot
// be known. The time taken depends on the length of the field and on the number
// of tokens, not on what matches: all digests are compared, each to its end.
func (t *Tokens) Check(authorization [][]byte, wanted Scope) (name string, result Result) {
	switch {
	case t.Open():
		return "", OK
	case len(authorization) == 0:
		return "", Missing
	case len(authorization) > 1:
		return "", Unknown
	}
	presented, result := bearer(authorization[0])
	if result != OK {
		return "", result
	}
	digest := sha256.Sum256(presented)
	found := -1
	for i := range t.all {
		same := subtle.ConstantTimeCompare(digest[:], t.all[i].digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	switch {
	case found < 0:
		return "", Unknown
	case t.all[found].scopes&wanted == 0:
		return t.all[found].name, WrongScope
	}
	return t.all[found].name, OK
}
