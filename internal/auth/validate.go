package auth

import (
	"errors"
	"fmt"
)

// Validate reports all that is wrong with a list of tokens, naming keys and
// tokens but no secrets: what can never match, and what would make it unclear
// whose request was let in.
func Validate(tokens []Token) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	names := map[string]bool{}
	secrets := map[string]string{}
	for i, t := range tokens {
		if t.Name == "" {
			fault("auth.token %d has no name; logs need one", i+1)
		} else if names[t.Name] {
			fault("auth.token.name %q is given twice", t.Name)
		}
		if t.Scopes == 0 {
			fault("auth.token %q opens nothing; add \"write\", \"admin\", \"metrics\" or \"fresh\" to its scopes", t.Name)
		}
		other, taken := secrets[t.Secret]
		switch {
		case t.Secret == "":
			fault("auth.token %q is empty; set its token or token_file", t.Name)
		case !visible(t.Secret):
			fault("auth.token %q has a secret with spaces or characters other than visible ASCII; no header can carry it", t.Name)
		case taken:
			fault("auth.token %q and %q have the same secret", other, t.Name)
		}
		names[t.Name], secrets[t.Secret] = true, t.Name
	}
	return errors.Join(faults...)
}
