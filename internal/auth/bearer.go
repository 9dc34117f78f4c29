package auth

import "bytes"

// bearer takes the token out of credentials (RFC 9110, 11.4): the scheme in any
// case, one or more spaces, the token. White space around a field's value is no
// part of it; a tab between scheme and token is not allowed. The result is
// Missing without credentials and for those of another scheme, Unknown where
// the Bearer scheme has something that can be no token. The token aliases the
// header.
//
// RFC 6750 restricts tokens to token68. Any visible ASCII is taken here,
// because the comparison decides anyway, and an operator whose secret has an
// exclamation mark should not be told that it is wrong.
func bearer(authorization []byte) (token []byte, result Result) {
	const scheme = "bearer"
	v := bytes.Trim(authorization, " \t")
	if len(v) < len(scheme) || !bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
		return nil, Missing
	}
	behind := v[len(scheme):]
	token = bytes.TrimLeft(behind, " ")
	switch {
	case len(behind) == 0:
		return nil, Unknown
	case len(token) == len(behind): // no space: "Bearerx" is another scheme
		return nil, Missing
	case !visible(token):
		return nil, Unknown
	}
	return token, OK
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
