package auth

import (
	"fmt"
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
)

func (s Scope) String() string {
	var names []string
	for _, n := range scopeNames() {
		if s&n.scope != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, " ")
}

type scopeName struct {
	scope Scope
	name  string
}

func scopeNames() []scopeName {
	return []scopeName{{Write, "write"}, {Admin, "admin"}, {Metrics, "metrics"}}
}

// ParseScopes reads the names of a token's scopes as the configuration has
// them.
func ParseScopes(names []string) (Scope, error) {
	var s Scope
next:
	for _, name := range names {
		for _, n := range scopeNames() {
			if n.name == name {
				s |= n.scope
				continue next
			}
		}
		return 0, fmt.Errorf("scope %q is unknown; auth.token.scopes may hold \"write\", \"admin\" and \"metrics\"", name)
	}
	return s, nil
}
