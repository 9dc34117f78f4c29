package handlers

import (
	"encoding/hex"
	"math/rand/v2"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// echoID passes on the id that the client gave its request, or replaces it
// when it is not [A-Za-z0-9._-]{1,64}: ids end up in logs of many programs.
func (s *Server) writeRequestID(ctx *fasthttp.RequestCtx, id []byte) {
	if !isID(id) {
		id = []byte(newID())
	}
	ctx.Response.Header.SetCanonical(headerRequestID, id)
}

func isID(id []byte) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if !param.Safe(c) || c == '~' || c == '@' {
			return false
		}
	}
	return true
}

// newID names a request. It has to be distinct, not secret.
func newID() string {
	var raw [16]byte
	for i, half := 0, rand.Uint64(); i < 8; i, half = i+1, half>>8 {
		raw[i] = byte(half)
	}
	for i, half := 8, rand.Uint64(); i < 16; i, half = i+1, half>>8 {
		raw[i] = byte(half)
	}
	return hex.EncodeToString(raw[:])
}
