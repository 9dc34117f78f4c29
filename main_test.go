package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/command"
)

// TestArguments: what the program prints and exits with. That it serves is proven
// in test/.
func TestArguments(t *testing.T) {
	good, faulty := filepath.Join(t.TempDir(), "good.toml"), filepath.Join(t.TempDir(), "faulty.toml")
	for path, text := range map[string]string{good: "[server]\ndrain = \"0s\"\n", faulty: "colour = 1\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(args string, status int, stdout, stderr string) {
		t.Helper()
		var out, err bytes.Buffer
		got := command.Run(command.Process{Version: version, Args: strings.Fields(args), Stdout: &out, Stderr: &err, Notify: signal.Notify})
		if got != status || !regexp.MustCompile(stdout).Match(out.Bytes()) || !regexp.MustCompile(stderr).Match(err.Bytes()) {
			t.Errorf("hearth %s: exit status %d, want %d; it prints\n%s\nand to standard error\n%s", args, got, status, out.Bytes(), err.Bytes())
		}
	}
	const nothing, usage = `^$`, `(?m)^usage: hearth`
	f("version", 0, `^hearth devel\n$`, nothing)
	f("-config "+good+" check", 0, `good.toml: no faults\n$`, nothing)
	f("-config "+good+" check -connect", 0, `no faults`, nothing)
	f("-config "+faulty+" check", 1, nothing, `faulty.toml:1: colour: no such key`)
	f("-config "+faulty, 1, nothing, `faulty.toml:1: colour: no such key`)
	f("-config "+faulty+" serve", 1, nothing, `colour`)
	f("-config nowhere.toml check", 1, nothing, `nowhere.toml`)
	f("-help", 0, nothing, usage)
	f("-colour", 2, nothing, usage)
	f("paint", 2, nothing, usage)
	f("version -connect", 2, nothing, usage)
	f("check -colour", 2, nothing, usage)
	f("check -connect now", 2, nothing, usage)
}
