package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hearth/internal/admin"
)

// TestReload: each way in which a reload can end has an answer of its own.
func TestReload(t *testing.T) {
	r := start(t, nil)
	f := func(outcome error, status int, want string) {
		t.Helper()
		r.reloaded = outcome
		got := r.do(t, http.MethodPost, "/api/reload", " { } ", "Content-Type", "application/json")
		if got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%v: got %d %s, want %d with %s", outcome, got.status, got.body, status, want)
		}
		if status >= 400 {
			wantProblem(t, want, got, status)
		}
	}
	f(nil, 200, `{"status":"reloaded"}`)
	f(fmt.Errorf("waiting: %w", context.DeadlineExceeded), 202, `{"status":"running"}`)
	f(&admin.ReloadError{Faults: []string{"a.toml:1: x: no", "y"}}, 422, `"detail":"the configuration was not reloaded, the one before stays","faults":["a.toml:1: x: no","y"]`)
	f(admin.ErrDraining, 503, "draining")
	f(errors.New("a secret"), 500, "the log says what")
	if !strings.Contains(r.log.String(), "a secret") {
		t.Errorf("the log has %q", r.log.String())
	}
	for body, want := range map[string]int{"": 200, "{}": 200, "[]": 422, "{": 422, `{"a":1}`: 422, "{}{}": 422} {
		r.reloaded = nil
		if got := r.do(t, http.MethodPost, "/api/reload", body, "Content-Type", "application/json"); got.status != want {
			t.Errorf("the body %q is answered %d, want %d", body, got.status, want)
		}
	}
}
