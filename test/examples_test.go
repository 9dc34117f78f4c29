package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// examplePorts are the addresses that an example's pages name, by the variables that
// its run takes other ones from.
var examplePorts = map[string]string{
	"HEARTH_SERVER_LISTEN": "127.0.0.1:8080", "HEARTH_SERVER_ADMIN": "127.0.0.1:9090",
	"REDIS_PORT": "6390", "POSTGRES_PORT": "5433", "SERVICE_PORT": "8000",
}

// shownExample is one of examples/, started by its one command.
type shownExample struct {
	dir     string // of its files
	scratch string // where it may make its own
	process *testkit.Process
	ports   *strings.Replacer // those of the pages by those of this test
	taken   []string          // addresses
}

// TestExamples starts each example by its one command, types what its README says to
// type, and ends it as Ctrl-C does: then nothing of it is left.
func TestExamples(t *testing.T) {
	t.Parallel()
	f := func(name string, needs func(*testing.T), after func(*testing.T, *shownExample)) {
		if !testkit.Long() && name != "own-table" && name != "fleet" {
			return // the others are in make prove; TestReadme plays the recipe, TestHearthBeforeTheRecipe the service
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.Need(t, "curl", []string{"curl"})
			needs(t)
			e := startExample(t, name)
			e.play(t)
			after(t, e)
			e.end(t)
		})
	}
	redis := func(t *testing.T) { testkit.NeedRedis(t) }
	nothing := func(*testing.T, *shownExample) {}
	f("recipe", redis, nothing)
	f("own-table", func(t *testing.T) { testkit.NeedPostgres(t, "initdb") }, compareDraft)
	f("fastapi", func(t *testing.T) { redis(t); needRecipe(t) }, nothing)
	f("fleet", func(t *testing.T) { redis(t); testkit.NeedHAProxy(t); awaitNewHour(t) }, nothing)
	f("small", func(t *testing.T) { testkit.Need(t, "sqlite3", []string{"sqlite3"}) }, nothing)
}

// startExample returns when the example says that all of it is there.
func startExample(t *testing.T, name string) *shownExample {
	t.Helper()
	hearth, err := exec.LookPath(launch.Name)
	must(t, err)
	e := &shownExample{dir: filepath.Join(launch.Root(t), "examples", name), scratch: testkit.TempDir(t, "example")}
	must(t, os.Chmod(e.scratch, 0o711)) // another user runs PostgreSQL there
	env, pairs := []string{"HEARTH=" + hearth, "TMPDIR=" + e.scratch}, []string{"/tmp/", e.scratch + "/"}
	for variable, was := range examplePorts {
		port := fmt.Sprint(testkit.FreePort(t))
		e.taken = append(e.taken, "127.0.0.1:"+port)
		value := port
		if strings.HasPrefix(was, "127.") {
			value = "127.0.0.1:" + port
		}
		env, pairs = append(env, variable+"="+value), append(pairs, was, value)
	}
	e.ports = strings.NewReplacer(pairs...)
	e.process = testkit.Start(t, testkit.Command{Name: name, Argv: []string{filepath.Join(e.dir, "run")}, Dir: t.TempDir(), Env: env})
	testkit.Eventually(t, 3*launch.Patience, "all of the example is there", func() bool { // several programs, one after the other
		return !e.process.Running() || strings.Contains(e.process.Logs(), "Ctrl-C ends all of it.")
	})
	if !e.process.Running() {
		t.Fatalf("the example ended at once (%v):\n%s", e.process.Err(), e.process.Logs())
	}
	return e
}

// typed are the commands of a page and what they print.
var typed = regexp.MustCompile("(?s)```console\n(.*?)```")

// play types what the README says, in its order.
func (e *shownExample) play(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(e.dir, "README.md"))
	must(t, err)
	if lines := strings.Count(string(page), "\n"); lines > 40 {
		t.Errorf("%s/README.md has %d lines: an example is told on one screen", e.dir, lines)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*launch.Patience)
	defer cancel()
	lifetime := regexp.MustCompile(`ttl=\d+`)
	plain := func(text string) string {
		return strings.TrimSpace(lifetime.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "ttl=…"))
	}
	played := 0
	for _, block := range typed.FindAllStringSubmatch(string(page), -1) {
		for _, part := range strings.Split("\n"+block[1], "\n$ ") {
			command, want, _ := strings.Cut(part, "\n")
			if command == "" || strings.HasPrefix(command, "apt-get ") || strings.HasPrefix(command, "make ") {
				continue // done already
			}
			played++
			got, err := exec.CommandContext(ctx, "sh", "-c", e.ports.Replace(command)).CombinedOutput()
			if err != nil || plain(string(got)) != plain(want) {
				t.Errorf("%s\nprints (%v)\n%s\nexamples/%s/README.md has\n%s", command, err, got, filepath.Base(e.dir), want)
			}
		}
	}
	if played < 4 {
		t.Errorf("%s/README.md has %d commands to type", e.dir, played)
	}
}

// end interrupts the example: it has to end well, with all that it has started.
func (e *shownExample) end(t *testing.T) {
	t.Helper()
	e.process.Signal(syscall.SIGINT)
	await(t, "the example has ended", func() bool { return !e.process.Running() })
	if err := e.process.Err(); err != nil {
		t.Errorf("the example ended with %v:\n%s", err, e.process.Logs())
	}
	left, err := os.ReadDir(e.scratch)
	if err != nil || len(left) > 0 {
		t.Errorf("the example has left %v (%v)", left, err)
	}
	for _, addr := range e.taken {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("something still listens on %s", addr)
		}
	}
}

// compareDraft holds the configuration that the example shows against what hearth init
// has drafted.
func compareDraft(t *testing.T, e *shownExample) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(e.scratch, "*", "config.toml"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the drafts are %q (%v)", found, err)
	}
	text, err := os.ReadFile(found[0])
	must(t, err)
	draft := regexp.MustCompile(`(?m)^(url = "postgres://shop@127\.0\.0\.1:)\d+`).ReplaceAllString(string(text), "${1}5433")
	golden := filepath.Join(e.dir, "config.toml")
	if *update {
		must(t, os.WriteFile(golden, []byte(draft), 0o644))
		return
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(want), draft); diff != "" {
		t.Errorf("hearth init drafts another configuration than examples/own-table has; go test ./test -run TestExamples -update writes it (-want +got):\n%s", diff)
	}
}
