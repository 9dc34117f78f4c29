package main

import (
	"net/http"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// TestConnectionsBeyondTheLimit opens one connection more than the server may
// have: it is told so as it would be told anything else, at once, and the
// others go on.
func TestConnectionsBeyondTheLimit(t *testing.T) {
	const limit = 1024 // four for each request in flight, and at least so many
	o := startOutpost(t, 0, "HEARTH_SERVER_MAX_IN_FLIGHT=1")
	var inside []*visitor
	for range limit {
		v, err := o.visit()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.conn.Close() }()
		inside = append(inside, v)
	}
	for _, v := range []*visitor{inside[0], inside[limit-1]} { // accepted in the order of opening
		if status, err := v.ask("GET", "/healthz", ""); status != http.StatusOK || err != nil {
			t.Fatalf("inside: answered %d, error %v", status, err)
		}
	}
	outside, err := o.visit()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.conn.Close() }()
	if err := outside.resp.Read(outside.in); err != nil { // without having asked
		t.Fatal(err)
	}
	h := &outside.resp.Header
	if outside.resp.StatusCode() != 503 || string(h.ContentType()) != "application/problem+json" || len(h.Peek("Retry-After")) == 0 || !h.ConnectionClose() {
		t.Errorf("beyond the limit: answered\n%s%s", h, outside.resp.Body())
	}
	_ = inside[0].conn.Close()
	testkit.Eventually(t, 20*time.Second, "there is room again", func() bool {
		v, err := o.visit()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.conn.Close() }()
		status, err := v.ask("GET", "/healthz", "")
		return status == http.StatusOK && err == nil
	})
}
