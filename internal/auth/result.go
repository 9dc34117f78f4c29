package auth

// Result is what Tokens.Check decides.
type Result int

// The results.
const (
	OK         Result = iota // let the request pass
	Missing                  // 401: no bearer token at all
	Unknown                  // 401: a token nobody configured
	WrongScope               // 403: a token that does not open this
)

// Refusal is how a request that needed one of the scopes wanted is refused; 200
// and nothing for OK. Detail is a sentence for the client that says what to
// change and nothing about the tokens that exist. Challenge is the value of
// WWW-Authenticate (RFC 6750, 3): a request without credentials gets no error
// code, since it has made no mistake yet.
func (r Result) Refusal(wanted Scope) (status int, detail, challenge string) {
	const realm = `Bearer realm="hearth"`
	switch r {
	case Missing:
		return 401, "send a bearer token in the Authorization header", realm
	case Unknown:
		return 401, "the bearer token is not known here", realm + `, error="invalid_token"`
	case WrongScope:
		return 403, "the token lacks the scope; any of these will do: " + wanted.String(),
			realm + `, error="insufficient_scope", scope="` + wanted.String() + `"`
	}
	return 200, "", ""
}
