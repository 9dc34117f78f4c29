// Package auth decides who may write, administer and scrape: bearer tokens
// with scopes, the start-up rule for servers without tokens, and the origin
// rule that protects those from web pages.
//
// It knows no HTTP library: it takes header values and gives back verdicts, so
// that the public and the admin listener, which differ in everything else,
// cannot differ in this.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Token is one named bearer token.
type Token struct {
	Name   string // for logs; never secret
	Scopes Scope  // what it opens
	Secret string // visible ASCII
}

// Keeper checks tokens. It is immutable, safe for concurrent use, and keeps
// digests only.
type Keeper struct {
	entries []entry
}

type entry struct {
	name   string
	scopes Scope
	digest [sha256.Size]byte
}

// New makes a Keeper of tokens that Validate accepts. None means that nothing
// needs a token (see Open).
func New(tokens []Token) *Keeper {
	k := &Keeper{entries: make([]entry, 0, len(tokens))}
	for _, t := range tokens {
		k.entries = append(k.entries, entry{t.Name, t.Scopes, sha256.Sum256([]byte(t.Secret))})
	}
	return k
}

// Open reports that no token is configured: Check then lets everybody pass,
// and ForeignOrigin is what protects writes from web pages.
func (k *Keeper) Open() bool { return len(k.entries) == 0 }

// CheckLines is Check for all lines of an Authorization field. The field may
// occur once: which of two a proxy in front has looked at is not to be guessed.
func (k *Keeper) CheckLines(lines [][]byte, wanted Scope) (name string, v Verdict) {
	switch {
	case len(lines) == 0:
		return k.Check(nil, wanted)
	case len(lines) > 1 && !k.Open():
		return "", Unknown
	}
	return k.Check(lines[0], wanted)
}

// Check decides on the value of an Authorization header, empty when the
// request has none. Wanted lists the scopes of which one suffices. The name is
// that of the token whenever it is a known one, also under WrongScope, so that
// a log can say whose it was; it is empty when the Keeper is open.
//
// The time taken depends on the length of the header and on the number of
// tokens, not on what matches: digests are compared, all of them, to the end.
func (k *Keeper) Check(authorization []byte, wanted Scope) (name string, v Verdict) {
	if k.Open() {
		return "", OK
	}
	presented, syntax := bearer(authorization)
	switch syntax {
	case noBearer:
		return "", Missing
	case badBearer:
		return "", Unknown
	}
	digest := sha256.Sum256(presented)
	found := -1
	for i := range k.entries {
		same := subtle.ConstantTimeCompare(digest[:], k.entries[i].digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	switch {
	case found < 0:
		return "", Unknown
	case k.entries[found].scopes&wanted == 0:
		return k.entries[found].name, WrongScope
	}
	return k.entries[found].name, OK
}
