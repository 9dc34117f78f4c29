package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/admin"
)

func TestInvalidate(t *testing.T) {
	r := start(t, nil)
	f := func(body, want string, paths, keys []string) {
		t.Helper()
		got := r.post(t, body)
		if got.status != 200 || got.body != want {
			t.Errorf("POST %s = %d %s, want 200 %s", body, got.status, got.body, want)
		}
		if diff := cmp.Diff([][]string{paths, keys}, [][]string{r.paths, r.keys}); diff != "" {
			t.Errorf("POST %s invalidates (-want +got):\n%s", body, diff)
		}
	}
	f(`{"paths":["/user/1"],"keys":["user:2","user:3"]}`, `{"count":3,"status":"success"}`, []string{"/user/1"}, []string{"user:2", "user:3"})
	f(`{"keys":["user:2"]}`, `{"count":1,"status":"success"}`, nil, []string{"user:2"})
	f(" {\"paths\" : [ \"/a\\u0062\" ] }\n", `{"count":1,"status":"success"}`, []string{"/ab"}, nil)
	f(`{"keys":[],"paths":["/x"]}`, `{"count":1,"status":"success"}`, []string{"/x"}, nil)
	for body, want := range map[string]bool{`{"keys":["a"]}`: false, `{"keys":["a"],"delete":false}`: false, `{"delete":true,"keys":["a"]}`: true} {
		f(body, `{"count":1,"status":"success"}`, nil, []string{"a"})
		if r.delete != want {
			t.Errorf("POST %s: delete is %v, want %v", body, r.delete, want)
		}
	}
	f(`{"resource":"user"}`, `{"count":0,"status":"success"}`, nil, nil)
	if r.resource != "user" {
		t.Errorf("the resource is %q", r.resource)
	}
	f(`{"resource":"\u0075ser","keys":["a"],"delete":true}`, `{"count":1,"status":"success"}`, nil, []string{"a"})
	if r.resource != "user" || !r.delete {
		t.Errorf("the resource is %q, delete is %v", r.resource, r.delete)
	}
}

func TestInvalidateBadBodies(t *testing.T) {
	r := start(t, nil)
	f := func(want int, body string) {
		t.Helper()
		r.paths, r.keys = nil, nil
		got := r.post(t, body)
		wantProblem(t, body, got, want)
		if r.paths != nil || r.keys != nil {
			t.Errorf("POST %s was carried out", body)
		}
	}
	f(400, ``)
	f(400, `{`)
	f(400, `{"keys":["a"]`)
	f(400, `{"keys":["a"]} x`)
	f(400, `{"keys":["a"]}{}`)
	f(400, `{"keys":["a",]}`)
	f(400, `{keys:["a"]}`)
	f(400, `{"keys":["a"],"keys":["b"]}`)
	f(400, "{\"keys\":[\"\xff\"]}")
	f(400, `[`+strings.Repeat(`[`, 100))
	f(422, `[]`)
	f(422, `null`)
	f(422, `"keys"`)
	f(422, `{}`)
	f(422, `{"keys":[]}`)
	f(422, `{"paths":[],"keys":[]}`)
	f(422, `{"key":["a"]}`)
	f(422, `{"Keys":["a"]}`)
	f(422, `{"keys":"a"}`)
	f(422, `{"keys":null}`)
	f(422, `{"keys":[1]}`)
	f(422, `{"keys":["a"],"delete":1}`)
	f(422, `{"keys":["a"],"delete":"true"}`)
	f(422, `{"keys":["a"],"delete":[]}`)
	f(422, `{"delete":true}`)
	f(422, `{"resource":""}`)
	f(422, `{"resource":null}`)
	f(422, `{"resource":["user"]}`)
	f(422, `{"resource":{"name":"user"}}`)
	f(422, `{"resources":"user"}`)
	f(422, `{"resource":"","keys":["a"]}`)
	f(400, `{"resource":"user","resource":"user"}`)
	f(400, `{"keys":["a"],"delete":}`)
	f(422, `{"keys":["a",["b"]]}`)
	f(422, `{"keys":{"a":1}}`)
	many := func(n int) string { return `["a"` + strings.Repeat(`,"a"`, n-1) + `]` }
	f(413, `{"keys":`+many(10_001)+`}`)
	f(413, `{"paths":`+many(5_000)+`,"keys":`+many(5_001)+`}`)
}

func TestInvalidateFailures(t *testing.T) {
	r := start(t, nil)
	f := func(err error, want int, detail string) {
		t.Helper()
		r.outcome = err
		got := r.post(t, `{"keys":["user:1"]}`)
		wantProblem(t, err.Error(), got, want)
		if !strings.Contains(got.body, detail) || strings.Contains(got.body, "hunter2") {
			t.Errorf("%v: body %s, want %q and no cause", err, got.body, detail)
		}
		if retry := got.header.Get("Retry-After"); (retry != "") != (want == 503) {
			t.Errorf("%v: Retry-After = %q", err, retry)
		}
	}
	f(fmt.Errorf("checking: %w", &admin.InvalidateError{Target: "other:1", Reason: "matches the template of no resource"}),
		422, `\"other:1\" matches the template of no resource`)
	f(fmt.Errorf("asking hunter2: %w", context.DeadlineExceeded), 504, "send the request again")
	f(fmt.Errorf("%w: hunter2 may not", admin.ErrRefused), 500, "which right is missing")
	f(errors.New("dialling hunter2: refused"), 503, "the log says why")
	r.outcome = fmt.Errorf("sweeping: %w", admin.ErrContinues)
	if got := r.post(t, `{"resource":"user"}`); got.status != 202 || got.body != `{"status":"running"}` {
		t.Errorf("what goes on = %d %s, want 202", got.status, got.body)
	}
	if log := r.log.String(); !strings.Contains(log, "hunter2: refused") {
		t.Errorf("log %q lacks the cause", log)
	}
}

func FuzzReadTargets(f *testing.F) {
	for _, seed := range []string{
		`{"paths":["/user/1"],"keys":["user:2"]}`, `{"resource":"user"}`, `{}`, `[]`, `{"keys":[1]}`, `{"keys":["a"],"keys":["b"]}`, `{"keys":["a"]} `, "{\"keys\":[\"\xff\"]}", ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const most = 4
		all, status := admin.ReadTargets(body, most)
		if status != 0 {
			if status != 400 && status != 413 && status != 422 {
				t.Errorf("ReadTargets(%q) = status %d", body, status)
			}
			return
		}
		paths, keys := all.Paths, all.Keys
		if n := len(paths) + len(keys); n < 1 && all.Resource == "" || n > most {
			t.Errorf("ReadTargets(%q) takes %d targets", body, n)
		}
		// What is taken means the same to another reader.
		var other struct {
			Paths    []string `json:"paths"`
			Keys     []string `json:"keys"`
			Resource string   `json:"resource"`
		}
		if err := json.Unmarshal(body, &other); err != nil {
			t.Fatalf("ReadTargets takes %q, encoding/json does not: %v", body, err)
		}
		if len(other.Paths) != len(paths) || len(other.Keys) != len(keys) || other.Resource != all.Resource {
			t.Errorf("ReadTargets(%q) = %+v; encoding/json reads %+v", body, all, other)
		}
		for i := range paths {
			if paths[i] != other.Paths[i] {
				t.Errorf("path %d = %q, want %q", i, paths[i], other.Paths[i])
			}
		}
	})
}
