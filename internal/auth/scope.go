package auth

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is a set of permissions. Scopes do not imply each other: a token for
// the deployment script that may invalidate keys need not be able to write
// records. Where either of two will do, the caller of Check says so.
type Scope uint8

// The scopes of [[auth.token]] scopes.
const (
	Write   Scope = 1 << iota // PUT, DELETE and batches
	Admin                     // the admin listener
	Metrics                   // /metrics and /api/stats of the admin listener
	Fresh                     // reads that may ask for fresh answers by Cache-Control
)

// scopeNames are the names of the scopes in the order of their bits.
var scopeNames = []string{"write", "admin", "metrics", "fresh"}

// String lists the names of the scopes in s.
func (s Scope) String() string {
	var names []string
	for bit, name := range scopeNames {
		if s&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// ParseScopes reads the names of a token's scopes as the configuration has
// them.
func ParseScopes(names []string) (s Scope, err error) {
	for _, name := range names {
		bit := slices.Index(scopeNames, name)
		if bit < 0 {
			return 0, fmt.Errorf("scope %q is unknown; auth.token.scopes may hold \"write\", \"admin\", \"metrics\" and \"fresh\"", name)
		}
		s |= 1 << bit
	}
	return s, nil
}
