package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
)

// traced is a configuration with a resource that an HTTP origin has, and all
// requests in the log.
const traced = `
[log]
access_sample = 1
[[resource]]
name   = "far"
path   = "/far/{id:int}"
key    = "far:{id}"
origin = "%s/{id}"
`

// TestTraceGoesThrough follows one request's names from the client to the origin,
// back to the client, and into the log.
func TestTraceGoesThrough(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	heard := make(chan http.Header, 8)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	defer origin.Close()
	in := launch(t, fmt.Sprintf(traced, origin.URL))
	in.awaitReady()
	ask := func(path string, header http.Header) http.Header {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://public"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := in.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, resp.StatusCode)
		}
		return resp.Header
	}
	log := filepath.Join(filepath.Dir(in.public), "hearth.log")

	answer := ask("/far/1?token=hidden", http.Header{"X-Request-Id": {"edge-7"}, "Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}})
	got := <-heard
	if id := answer.Get("X-Request-Id"); id != "edge-7" || got.Get("X-Request-Id") != id || got.Get("Traceparent") != parent || got.Get("Tracestate") != "a=1,b=2" {
		t.Errorf("the answer has the id %q, the origin was told %v", id, got)
	}
	answer = ask("/far/2", http.Header{"Traceparent": {"00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01"}, "Tracestate": {"a=1"}})
	got = <-heard
	if id := answer.Get("X-Request-Id"); len(id) != 32 || got.Get("X-Request-Id") != id || len(got["Traceparent"])+len(got["Tracestate"]) > 0 {
		t.Errorf("the answer has the id %q, the origin was told %v", id, got)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"path=/far/1 status=200 ", " client=unix request_id=edge-7 trace_id=" + trace + "\n",
		"path=/far/2 status=200 ", " request_id=" + answer.Get("X-Request-Id") + "\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "hidden") {
		t.Errorf("the log has the query string:\n%s", text)
	}
}

// TestJournalGetsPriorities starts the program as systemd does, with standard
// error connected to the journal.
func TestJournalGetsPriorities(t *testing.T) {
	dir := t.TempDir()
	stream, err := os.Create(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(stream.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	start := func(format string) *exec.Cmd {
		cmd := exec.Command("hearth", "-config", os.DevNull)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(),
			fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino), "HEARTH_LOG_FORMAT="+format, "HEARTH_UNKNOWN_KEY=x",
			"HEARTH_SERVER_LISTEN=unix:"+filepath.Join(dir, "p"), "HEARTH_SERVER_ADMIN=unix:"+filepath.Join(dir, "a"),
			"HEARTH_EMBEDDED_PATH="+filepath.Join(dir, "hearth.db"))
		cmd.Stderr = stream
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	lines := func(format, until string) []string {
		t.Helper()
		if err := stream.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		cmd := start(format)
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		var text []byte
		testkit.Eventually(t, patience, "the server serves", func() bool {
			text, err = os.ReadFile(stream.Name())
			return err == nil && strings.Contains(string(text), until)
		})
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	for _, line := range lines("text", "msg=serving") {
		warns := strings.Contains(line, "level=WARN")
		if strings.Contains(line, "time=") || warns != strings.HasPrefix(line, "<4>") || !warns && !strings.HasPrefix(line, "<6>level=INFO ") {
			t.Errorf("a line for the journal: %s", line)
		}
	}
	for _, line := range lines("json", `"msg":"serving"`) {
		if !strings.HasPrefix(line, `{"time":"`) {
			t.Errorf("a line for programs: %s", line)
		}
	}
}
