package test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// newcomer does what README.md says, in its order and from nothing: in a tree of the module
// that has no program yet, and with a database of PostgreSQL that has one table.
type newcomer struct {
	root    string            // of the module
	dir     string            // where commands are typed
	env     []string          // of all that is typed
	own     *strings.Replacer // the page's addresses by those of this test
	docs    string            // the pages of docs/, in one
	cli     string            // docs/cli.md, which the table of verbs makes
	targets []string          // of make, which are named and not played
	typed   int
	server  *testkit.Process // what serves, if anything does
	quit    func()           // waits until it has printed all
}

// TestReadme types each command that README.md shows, in its order, and holds what is printed
// against the page: a line "…" there stands for any lines. What the text names is looked up.
func TestReadme(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "curl", []string{"curl"})
	testkit.Need(t, "make", []string{"make"})
	n := newNewcomer(t)
	page, err := os.ReadFile(filepath.Join(n.root, "README.md"))
	must(t, err)
	for rest, more := string(page), true; more; {
		var text, block string
		text, rest, more = strings.Cut(rest, "```console\n")
		n.read(t, text)
		if more {
			block, rest, _ = strings.Cut(rest, "```\n")
			n.follow(t, block)
		}
	}
	n.end(t)
	if lines := strings.Count(string(page), "\n"); lines > 95 {
		t.Errorf("README.md has %d lines; what takes longer to tell belongs into docs/", lines)
	}
	if n.typed < 10 {
		t.Errorf("README.md has %d commands to type", n.typed)
	}
	if out, err := n.shell(t, n.root, "make -n "+strings.Join(n.targets, " ")); err != nil {
		t.Errorf("README.md names targets of make, %q: %v\n%s", n.targets, err, out)
	}
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{root: launch.Root(t), dir: testkit.TempDir(t, "newcomer")}
	entries, err := os.ReadDir(n.root)
	must(t, err)
	for _, e := range entries {
		from, to := filepath.Join(n.root, e.Name()), filepath.Join(n.dir, e.Name())
		switch {
		case e.IsDir() && e.Name() != ".git" && e.Name() != "dist":
			must(t, os.Symlink(from, to))
		case e.Type().IsRegular() && e.Name() != ".git" && e.Name() != launch.Name:
			text, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, text, 0o644))
		}
	}
	db := testkit.Postgres(t)
	db.Exec("CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, city text); INSERT INTO customers VALUES (1, 'Ada', 'London')")
	public, admin := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	n.own = strings.NewReplacer("127.0.0.1:8080", public, "127.0.0.1:9090", admin, "postgres://hearth@db.internal/shop", db.URL())
	n.env = []string{
		"PATH=" + n.dir + ":" + os.Getenv("PATH"), "HEARTH_SERVER_LISTEN=" + public, "HEARTH_SERVER_ADMIN=" + admin, "NO_COLOR=1", "TERM=xterm",
		"MAKEFLAGS=", "MAKELEVEL=", // of the make that runs this
	}
	pages, err := filepath.Glob(filepath.Join(n.root, "docs", "*.md"))
	must(t, err)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		must(t, err)
		n.docs += string(text)
		if filepath.Base(page) == "cli.md" {
			n.cli = string(text)
		}
	}
	return n
}

// follow types the commands of a block. Nothing else is in it but what they print.
func (n *newcomer) follow(t *testing.T, block string) {
	t.Helper()
	if !strings.HasPrefix(block, "$ ") {
		t.Errorf("README.md has a block that begins with no command:\n%s", block)
		return
	}
	for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
		line, want, _ := strings.Cut(part, "\n")
		command, _, _ := strings.Cut(line, " # ")
		n.typed++
		switch command = strings.TrimSpace(command); {
		case command == "make run" || command == launch.Name:
			n.serve(t, command, want)
			continue
		case strings.HasPrefix(command, "make ") && command != "make build":
			n.ship(t, command)
			continue
		case strings.HasPrefix(command, "hearth init "):
			n.dir = testkit.TempDir(t, "own-table") // an empty directory, as the page says
		}
		out, err := n.shell(t, n.dir, line)
		if err != nil || want != "" && !n.shows(want, out) {
			t.Errorf("%s\nprints (%v)\n%s\nREADME.md has\n%s", command, err, out, want)
		}
	}
}

// anew takes the one variable away that a newcomer does not have: the program would warn of it.
const anew = "unset HEARTH_LONG; "

// shell runs a line as it stands on the page, but for addresses.
func (n *newcomer) shell(t *testing.T, dir, line string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*launch.Patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", anew+n.own.Replace(line))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), n.env...), &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), err
}

// What differs each time: how much of a lifetime is left, and the version.
var varying = regexp.MustCompile(`(ttl=)\d+|(Hearth )\S+(, as )`)

// shows tells whether the page shows what was printed.
func (n *newcomer) shows(want, got string) bool {
	settled := func(text string) string {
		return strings.TrimSpace(varying.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "$1$2…$3"))
	}
	pattern := regexp.MustCompile(`(?m)^ *…$`).ReplaceAllString(regexp.QuoteMeta(settled(n.own.Replace(want))), `(?s:.+)`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(settled(got))
}

// serve types a command that serves, at a terminal. What served before ends by Ctrl-C.
func (n *newcomer) serve(t *testing.T, command, want string) {
	t.Helper()
	n.end(t)
	ours, terminal := openTerminal(t)
	text, whole := watch(ours)
	n.server = testkit.Start(t, testkit.Command{
		Name: "server", Argv: []string{"sh", "-c", anew + "exec 2>&3 3>&-; exec " + command}, Dir: n.dir, Env: n.env, Files: []*os.File{terminal}, DeathSignal: syscall.SIGTERM,
	})
	must(t, terminal.Close())
	n.quit = func() { whole(); must(t, ours.Close()) }
	await(t, command+" serves", func() bool { return !n.server.Running() || strings.Contains(text(), "msg=serving") })
	banner, _, found := strings.Cut(strings.ReplaceAll(text(), "\r\n", "\n"), "\n\ntime=")
	if !found || want != "" && !n.shows(want, banner) {
		t.Errorf("%s\nprints at a terminal\n%s\nREADME.md has\n%s", command, text(), want)
	}
}

// end is Ctrl-C: a terminal tells all that was started there.
func (n *newcomer) end(t *testing.T) {
	t.Helper()
	if n.server == nil {
		return
	}
	if n.server.Running() {
		must(t, syscall.Kill(-n.server.Pid(), syscall.SIGINT))
	}
	await(t, "the server ends", func() bool { return !n.server.Running() })
	n.quit()
	n.server = nil
}

// ship makes packages. They take minutes: the short form looks the targets up.
func (n *newcomer) ship(t *testing.T, command string) {
	t.Helper()
	if !testkit.Long() {
		n.targets = append(n.targets, strings.Fields(command)[1:]...)
		return
	}
	dist := testkit.TempDir(t, "dist")
	out, err := exec.Command("sh", "-c", fmt.Sprintf("cd '%s' && %s %s DIST='%s' VERSION=v0.2.0 ARCH=amd64 FAST=1 SNAPSHOT=1", n.root, "MAKEFLAGS= MAKELEVEL=", command, dist)).CombinedOutput()
	made, _ := filepath.Glob(filepath.Join(dist, "*"))
	if err != nil || len(made) == 0 {
		t.Errorf("%s makes %q (%v) and prints\n%s", command, made, err, out)
	}
}

var (
	code    = regexp.MustCompile("`([^`]+)`")
	address = regexp.MustCompile(`<(http://127[^>]+)>`)
	section = regexp.MustCompile(`\]\(([\w./-]+\.md)#([\w-]+)\)`)
)

// read looks up what a text names: verbs, flags and targets of make; words in backticks, of
// which docs/ tells more; addresses, which the server of that moment has; headings.
func (n *newcomer) read(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "```") {
		t.Errorf("README.md has a block that is no console, so nobody plays it:\n%s", text)
		return
	}
	for _, match := range code.FindAllStringSubmatch(text, -1) {
		words := strings.Fields(match[1])
		switch {
		case words[0] == "make":
			n.targets = append(n.targets, words[1:]...)
		case words[0] == launch.Name && len(words) > 1:
			_, usage, found := strings.Cut(n.cli, "\n## "+words[1]+"\n")
			usage, _, _ = strings.Cut(usage, "\n## ")
			for _, word := range words[2:] {
				found = found && (word[0] != '-' || strings.Contains(usage, "\n| `"+word))
			}
			if !found {
				t.Errorf("README.md names `%s`, which docs/cli.md does not have", match[1])
			}
		case words[0][0] == '-' && !strings.Contains(n.cli, "\n| `"+words[0]):
			t.Errorf("README.md names the flag %s, which no verb has", words[0])
		case words[0][0] != '-' && !strings.Contains(n.docs, match[1]):
			t.Errorf("README.md names `%s`, of which no page of docs/ tells", match[1])
		}
	}
	for _, match := range address.FindAllStringSubmatch(text, -1) {
		resp, err := http.Get(n.own.Replace(match[1]))
		if err != nil {
			t.Errorf("README.md leads to %s: %v", match[1], err)
			continue
		}
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("README.md leads to %s, which is answered %s", match[1], resp.Status)
		}
	}
	for _, match := range section.FindAllStringSubmatch(text, -1) {
		page, err := os.ReadFile(filepath.Join(n.root, match[1]))
		must(t, err)
		heading := regexp.MustCompile(`(?mi)^#+ ` + strings.ReplaceAll(regexp.QuoteMeta(match[2]), "-", "[ -]") + `$`)
		if !heading.Match(page) {
			t.Errorf("README.md leads to %s#%s, and there is no such heading", match[1], match[2])
		}
	}
}
