package auth

import "bytes"

// syntax is what bearer found in a header.
type syntax int

const (
	isBearer  syntax = iota
	noBearer         // no credentials, or those of another scheme
	badBearer        // the Bearer scheme with something that can be no token
)

// bearer takes the token out of credentials (RFC 9110, section 11.4): the
// scheme in any case, one or more spaces, the token; the white space around a
// field's value is not part of it. A tab between the two is not allowed. The
// result aliases the header.
//
// RFC 6750 restricts tokens to token68. Any visible ASCII is taken here,
// because the comparison decides anyway, and an operator whose secret has an
// exclamation mark should not be told that it is wrong.
func bearer(authorization []byte) ([]byte, syntax) {
	const scheme = "bearer"
	v := bytes.Trim(authorization, " \t")
	if len(v) < len(scheme) || !bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
		return nil, noBearer
	}
	rest := v[len(scheme):]
	token := bytes.TrimLeft(rest, " ")
	switch {
	case len(rest) == 0:
		return nil, badBearer
	case len(token) == len(rest): // no space: "Bearerx" is another scheme
		return nil, noBearer
	case !visible(token):
		return nil, badBearer
	}
	return token, isBearer
}

// visible reports that b is one or more visible ASCII characters.
func visible[T []byte | string](b T) bool {
	for i := range len(b) {
		if b[i] <= ' ' || b[i] > '~' {
			return false
		}
	}
	return len(b) > 0
}
