package command_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/internal/command"
)

// TestCompletionInShells: what the shells themselves offer, each with the script that is
// installed.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(root + "deploy/completions")
	if err != nil {
		t.Fatal(err)
	}
	here := t.TempDir()
	for _, name := range []string{"some.toml", "other file.toml"} {
		if err := os.WriteFile(filepath.Join(here, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shells := map[string]*exec.Cmd{
		"bash": exec.Command("bash", "--norc", "testdata/complete.bash", dir+"/hearth.bash"),
		"zsh":  exec.Command("zsh", "-f", "testdata/complete.zsh", dir+"/_hearth", filepath.Join(here, "setup")),
		"fish": exec.Command("fish", "--no-config", "testdata/complete.fish", dir+"/hearth.fish"),
	}
	cases := []struct{ line, want string }{ // all that is offered
		{"hearth ", strings.Join(command.VerbNamesOf(""), " ")},
		{"hearth fee", "feed"},
		{"hearth -config x.toml fe", "feed"},
		{"hearth feed ", "install remove status flush"},
		{"hearth -config feed feed install -", "-apply -config -prune -role"},
		{"hearth check -co", "-config -connect"},
		{"hearth check -connect -config " + here + "/so", "some.toml"},
		{"hearth help feed in", "install"},
		{"hearth completion ", "bash fish zsh"},
		{"hearth explain -admin ", ""},
		{"hearth version -", ""},
	}
	for name, shell := range shells {
		for _, c := range cases {
			shell.Args = append(shell.Args, c.line)
		}
		shell.Env = append(os.Environ(), "HOME="+here, "LC_ALL=C.UTF-8", "TERM=dumb")
		out, err := shell.Output()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, offered := range strings.Split(strings.TrimSuffix(string(out), "==\n"), "==\n") {
			var got []string
			for line := range strings.Lines(offered) {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // fish: word, tab, meaning
				if word != "" {
					got = append(got, filepath.Base(word))
				}
			}
			want := strings.Fields(cases[i].want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s offers for %q:\n%q, want\n%q", name, cases[i].line, got, want)
			}
		}
	}
}
