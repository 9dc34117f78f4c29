package admin_test

import (
	"errors"
	"fmt"
	"testing"

	"hearth/internal/admin"
)

func TestLivez(t *testing.T) {
	r := start(t, nil)
	r.draining = true
	r.ready["redis"] = errors.New("down")
	got := r.do(t, "GET", "/livez", "")
	if got.status != 200 || got.body != `{"status":"ok"}` {
		t.Errorf("GET /livez = %d %s, want 200 whatever is down", got.status, got.body)
	}
}

func TestReadyz(t *testing.T) {
	r := start(t, nil)
	f := func(redis error, draining bool, wantStatus int, want string) {
		t.Helper()
		r.ready["redis"], r.draining = redis, draining
		got := r.do(t, "GET", "/readyz", "")
		if got.status != wantStatus || got.body != want {
			t.Errorf("GET /readyz = %d %s, want %d %s", got.status, got.body, wantStatus, want)
		}
		if ct := got.header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("Content-Type = %q, want application/json", ct)
		}
	}
	f(nil, false, 200, `{"status":"ready","checks":{"redis":"ok","source":"ok"}}`)
	f(admin.Reason("no answer for 3 s"), false, 503, `{"status":"not ready","checks":{"redis":"no answer for 3 s","source":"ok"}}`)
	f(fmt.Errorf("dialling redis://:hunter2@10.0.0.1: %w", admin.Reason("refused")), false, 503,
		`{"status":"not ready","checks":{"redis":"refused","source":"ok"}}`)
	f(errors.New("dial redis://:hunter2@10.0.0.1"), false, 503, `{"status":"not ready","checks":{"redis":"failing","source":"ok"}}`)
	f(nil, true, 503, `{"status":"draining","checks":{"redis":"ok","source":"ok"}}`)
	f(admin.Reason("refused"), true, 503, `{"status":"draining","checks":{"redis":"refused","source":"ok"}}`)
	r.ready = nil
	if got := r.do(t, "GET", "/readyz", ""); got.body != `{"status":"draining","checks":{}}` {
		t.Errorf("GET /readyz without checks = %s", got.body)
	}
}
