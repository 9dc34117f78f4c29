package handlers

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
)

// TestRefusalsAreWholeResponses: they are sent as they are, so nobody mends them.
func TestRefusalsAreWholeResponses(t *testing.T) {
	for i, raw := range newFixture(t).Refusals() {
		in := bufio.NewReader(bytes.NewReader(raw))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		a := answer{resp, string(body)}
		a.wantProblem(t, 503, "connections")
		a.wantHeader(t, "Retry-After", strconv.Itoa(i+1))
		a.wantHeader(t, "Access-Control-Allow-Origin", "*")
		if !resp.Close || resp.ContentLength != int64(len(body)) || in.Buffered() > 0 {
			t.Errorf("close %v, length %d of %d, %d bytes behind it", resp.Close, resp.ContentLength, len(body), in.Buffered())
		}
	}
}
