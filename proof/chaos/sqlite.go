package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// sqlite is a database file, behind one Redis to which nothing happens. Another process
// uses the file, too.
type sqlite struct {
	*harness
	calmly *testkit.RedisServer
	path   string
}

func (e *sqlite) start(h *harness) setup {
	e.harness, e.calmly = h, testkit.Redis(h.tb)
	e.path = filepath.Join(testkit.TempDir(h.tb, "chaos"), "rows.db")
	return setup{instances: 2, redis: e.calmly.URL(), tables: tablesOf("sqlite:" + e.path)}
}

func (e *sqlite) faults() []fault {
	return []fault{
		{"file locked against writers", func() { e.hold("BEGIN IMMEDIATE", false) }},
		{"file locked", func() { e.hold("BEGIN EXCLUSIVE", false) }},
		{"another process killed amid a transaction", func() { e.hold("BEGIN IMMEDIATE; DELETE FROM numbers", true) }},
		{"file replaced by a copy", e.replace},
		{"instance 1 frozen", e.freezeInstance(0)},
	}
}

func (e *sqlite) recovered() error { return nil }

func (e *sqlite) outside() outsider { return outside.One(e.calmly) }

// replace puts a copy in the place of the file, as a backup is put back. Nobody writes
// meanwhile: what is written to a file that is replaced is lost with it.
func (e *sqlite) replace() {
	e.writing.Lock()
	defer e.writing.Unlock()
	const copier = `import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=30).execute("VACUUM INTO ?", (sys.argv[2],))`
	backup := e.path + ".copy"
	if out, err := exec.CommandContext(e.tb.Context(), "python3", "-c", copier, e.path, backup).CombinedOutput(); err != nil {
		e.tb.Fatalf("copying %s: %v\n%s", e.path, err, out)
	}
	if err := os.Rename(backup, e.path); err != nil {
		e.tb.Fatal(err)
	}
}

// holder runs statements in another process and holds the transaction until its input
// ends.
const holder = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for statement in sys.argv[2].split(";"):
    db.execute(statement)
print("held", flush=True)
sys.stdin.read()
db.execute("ROLLBACK")
`

// hold lets another process hold a transaction for a while, and end it, or die in it.
func (e *sqlite) hold(statements string, killed bool) {
	cmd := exec.CommandContext(e.tb.Context(), "python3", "-c", holder, e.path, statements)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		e.tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		e.tb.Fatalf("starting python3, which holds a lock: %v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "held\n" {
		_ = cmd.Wait()
		e.tb.Fatalf("holding a lock on %s: %v\n%s", e.path, err, stderr.String())
	}
	e.pause(100, 3000)
	if killed {
		_ = cmd.Process.Kill()
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil && !killed {
		e.tb.Errorf("holding a lock on %s: %v\n%s", e.path, err, stderr.String())
	}
}
