package auth

// Verdict is the outcome of Keeper.Check.
type Verdict int

// The verdicts.
const (
	OK         Verdict = iota // let the request pass
	Missing                   // 401: no bearer token at all
	Unknown                   // 401: a token nobody configured
	WrongScope                // 403: a token that does not open this
)

// Status is the status code to refuse with; 200 for OK.
func (v Verdict) Status() int {
	switch v {
	case OK:
		return 200
	case WrongScope:
		return 403
	default:
		return 401
	}
}

// Challenge is the value of WWW-Authenticate (RFC 6750, section 3) for a
// refusal of a request that needed one of the scopes wanted; "" for OK. A
// request without credentials gets no error code: it has made no mistake yet.
func (v Verdict) Challenge(wanted Scope) string {
	const realm = `Bearer realm="hearth"`
	switch v {
	case OK:
		return ""
	case Unknown:
		return realm + `, error="invalid_token"`
	case WrongScope:
		return realm + `, error="insufficient_scope", scope="` + wanted.String() + `"`
	default:
		return realm
	}
}

// Detail is a sentence for the client: what to change. It tells nothing about
// the tokens that exist.
func (v Verdict) Detail(wanted Scope) string {
	switch v {
	case OK:
		return ""
	case Unknown:
		return "the bearer token is not known here"
	case WrongScope:
		return "the token lacks the scope; any of these will do: " + wanted.String()
	default:
		return "send a bearer token in the Authorization header"
	}
}
