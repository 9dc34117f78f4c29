package app

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // mends what is wrong

	"hearth/internal/testkit"
)

// TestARefusedStatementTakesNothingElseAway, and is known before anybody asks.
func TestARefusedStatementTakesNothingElseAway(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.db")
	socket := filepath.Join(dir, "admin.sock")
	cfg := load(t,
		`[server]`, `listen = "unix:`+filepath.Join(dir, "public.sock")+`"`, `admin = "unix:`+socket+`"`,
		`[embedded]`, `path = "`+filepath.Join(dir, "h.db")+`"`,
		`[database]`, `url = "sqlite:`+file+`"`, `init = ["CREATE TABLE IF NOT EXISTS t (id integer)", "INSERT INTO later VALUES (1)"]`,
		"[[resource]]\nname = \"good\"\npath = \"/good/{id:int}\"\nkey = \"good:{id}\"\nselect = \"SELECT id FROM t WHERE id = {id}\"",
		"[[resource]]\nname = \"bad\"\npath = \"/bad/{id:int}\"\nkey = \"bad:{id}\"\nselect = \"SELECT id FROM later WHERE id = {id}\"")
	var out syncBuffer
	a, err := Open(cfg, Process{Version: "test", Log: NewLog(cfg.Log, &out)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() {
		stop(ErrNow)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}}
	ready := func() (status int, checks map[string]string) {
		resp, err := client.Get("http://localhost/readyz")
		if err != nil {
			return 0, nil
		}
		defer func() { _ = resp.Body.Close() }()
		var answer struct{ Checks map[string]string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && err != io.EOF {
			t.Error(err)
		}
		return resp.StatusCode, answer.Checks
	}
	testkit.Eventually(t, time.Minute, "/readyz names both and stays 200", func() bool {
		status, checks := ready()
		return status == 200 && checks["source"] == "ok" && checks["bad.select"] != "" && checks["database.init[1]"] != "" && checks["good.select"] == ""
	})
	if n, none := a.current.Load().refusalsOf("bad"), a.current.Load().refusalsOf("good"); n != 1 || none != 0 {
		t.Errorf("hearth_statement_faults: got %d and %d, want 1 and 0", n, none)
	}
	testkit.Eventually(t, time.Minute, "the log has one error for each", func() bool { // a moment after /readyz has them
		return strings.Count(out.String(), "level=ERROR") == 2
	})
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("CREATE TABLE later (id integer)"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, "it heals by itself", func() bool {
		_, checks := ready()
		return len(checks) == 2
	})
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
