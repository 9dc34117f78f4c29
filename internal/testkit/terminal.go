package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Terminal is a terminal with a shell in it, as tmux has one: what stands on it can be read.
type Terminal struct {
	Dir    string // where the shell is
	tb     TB
	tmux   string
	socket string
}

// NewTerminal starts a shell in a terminal of that size.
func NewTerminal(tb TB, columns, rows int) *Terminal {
	tb.Helper()
	t := &Terminal{Dir: TempDir(tb, "terminal"), tb: tb, tmux: Need(tb, "tmux", []string{"tmux"})}
	t.socket = filepath.Join(t.Dir, "tmux.sock")
	settings := filepath.Join(t.Dir, "tmux.conf")
	writeFile(tb, settings, "set -g exit-empty off\nset -s escape-time 0\n")
	// The server stays in the foreground, so that it ends with the test.
	server := Start(tb, Command{
		Name: "tmux", Argv: []string{t.tmux, "-u", "-S", t.socket, "-f", settings, "-D"}, Dir: t.Dir, Env: []string{"LC_ALL=C.UTF-8", "TMUX="},
	})
	server.AwaitReady(func() bool { _, err := os.Stat(t.socket); return err == nil })
	t.do("new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "-c", t.Dir, "env PS1='$ ' LC_ALL=C.UTF-8 sh")
	return t
}

// do gives tmux a command.
func (t *Terminal) do(command ...string) string {
	t.tb.Helper()
	cmd := exec.Command(t.tmux, append([]string{"-u", "-S", t.socket}, command...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.tb.Fatalf("telling tmux to %q: %v\n%s", command, err, out)
	}
	return string(out)
}

// Press presses keys by tmux's names: "Enter", "C-z", "PPage"; or a single character.
func (t *Terminal) Press(keys ...string) {
	t.tb.Helper()
	t.do(append([]string{"send-keys"}, keys...)...)
}

// Type types a text, and no Enter behind it.
func (t *Terminal) Type(text string) {
	t.tb.Helper()
	t.do("send-keys", "-l", text)
}

// Lines are what stands there, without blanks at ends of lines.
func (t *Terminal) Lines() []string {
	t.tb.Helper()
	return strings.Split(strings.TrimSuffix(t.do("capture-pane", "-p"), "\n"), "\n")
}

// Resize gives the terminal another size.
func (t *Terminal) Resize(columns, rows int) {
	t.tb.Helper()
	t.do("resize-window", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows))
}

// Alternate tells whether the screen that stands there is a program's own.
func (t *Terminal) Alternate() bool {
	t.tb.Helper()
	return strings.TrimSpace(t.do("display-message", "-p", "#{alternate_on}")) == "1"
}
