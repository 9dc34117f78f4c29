package test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestExplain: the admin listener and the verb tell how the next GET will be answered; it is.
func TestExplain(t *testing.T) {
	t.Parallel()
	in := demo(t, testkit.Redis(t))
	explained := func(path string) (tier string, status int, sentence string) {
		t.Helper()
		answer := in.AskAdmin(http.MethodGet, "/api/explain?path="+path, "")
		var got struct {
			Next struct {
				Tier, Sentence string
				Status         int
			}
		}
		if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Code != 200 {
			t.Fatalf("%v: %v", err, answer)
		}
		return got.Next.Tier, got.Next.Status, got.Next.Sentence
	}
	for _, want := range []struct {
		path, tier, answered string
		status               int
	}{
		{"/user/7", "source", "Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss", 0},
		{"/user/7", "redis", "Hearth-Redis; hit", 200},
		{"/user/7", "memory", "Hearth-Memory; hit", 200},
		{"/user/07", "memory", "Hearth-Memory; hit", 200},
		{"/user/x", "none", "", 422},
		{"/nothing", "none", "", 0},
		{"http://hearth.test/user/7?x=1", "memory", "", 200},
	} {
		tier, status, sentence := explained(want.path)
		if tier != want.tier || status != want.status || sentence == "" {
			t.Errorf("%s: explained as %d from %s (%s), want %d from %s", want.path, status, tier, sentence, want.status, want.tier)
		}
		if want.path[0] != '/' {
			continue
		}
		got := in.Get(want.path)
		if !strings.HasPrefix(got.Tiers, want.answered) || status != 0 && got.Code != status {
			t.Errorf("%s: explained as %s, answered %v", want.path, want.answered, got)
		}
	}
	for _, query := range []string{"", "?path=", "?path=user/7", "?path=/user/7&x=1"} {
		if got := in.AskAdmin(http.MethodGet, "/api/explain"+query, ""); got.Code != 422 {
			t.Errorf("/api/explain%s is answered %v", query, got)
		}
	}
	run := func(args ...string) (string, error) {
		hearth, err := exec.LookPath(launch.Name)
		must(t, err)
		out, err := exec.Command(hearth, append([]string{"-config", in.File, "explain"}, args...)...).CombinedOutput()
		return string(out), err
	}
	admin := in.Admin
	if out, err := run("-admin", admin, "/user/7"); err != nil || !strings.HasPrefix(out, "/user/7: 200, from memory\nmemory has a fresh copy") || !strings.Contains(out, "user:7") {
		t.Errorf("the verb ends with %v and prints\n%s", err, out)
	}
	if out, err := run("-json", "-admin", admin, "/user/7"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("-json ends with %v and prints\n%s", err, out)
	}
	if out, err := run("-admin", admin, "user/7"); err == nil || !strings.Contains(out, "begin with a slash") {
		t.Errorf("a path without a slash ends with %v and prints\n%s", err, out)
	}
	if out, err := run(); err == nil || err.(*exec.ExitError).ExitCode() != 2 {
		t.Errorf("without a path it ends with %v and prints\n%s", err, out)
	}
	in.Kill()
	if out, err := run("-admin", admin, "/user/7"); err == nil || err.(*exec.ExitError).ExitCode() != 1 || !strings.Contains(out, "is the server running?") {
		t.Errorf("without a server it ends with %v and prints\n%s", err, out)
	}
}
