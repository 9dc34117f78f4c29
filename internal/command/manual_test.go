package command_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"hearth/internal/command"
)

const root = "../../"

// TestGeneratedFiles: the documents and completions are those of the table.
func TestGeneratedFiles(t *testing.T) {
	files := map[string]string{
		"docs/cli.md":         command.Markdown(),
		"deploy/man/hearth.1": command.ManualPage(),
	}
	for shell, name := range map[string]string{"bash": "hearth.bash", "zsh": "_hearth", "fish": "hearth.fish"} {
		status, script, _ := run("completion", shell)
		if status != 0 {
			t.Errorf("hearth completion %s: %d", shell, status)
		}
		files["deploy/completions/"+name] = script
	}
	for name, want := range files {
		if command.Updating() {
			if err := os.WriteFile(root+name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(root + name); err != nil || string(got) != want {
			t.Errorf("%s is not what the table of verbs says (%v); run go test ./internal/command -update", name, err)
		}
	}
}

// TestTheManualPageHasNoWarnings: neither of groff, which man uses, nor of mandoc.
func TestTheManualPageHasNoWarnings(t *testing.T) {
	for _, page := range []string{root + "deploy/man/hearth.1", root + "deploy/man/hearth.toml.5"} {
		for _, checker := range [][]string{
			{"man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"},
			{"mandoc", "-T", "lint", "-W", "style"},
		} {
			cmd := exec.Command(checker[0], append(checker[1:], page)...)
			var said strings.Builder
			cmd.Stderr = &said
			if checker[0] == "mandoc" {
				cmd.Stdout = &said
			}
			cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
			if err := cmd.Run(); err != nil || said.Len() > 0 {
				t.Errorf("%s says of %s (%v):\n%s", checker[0], page, err, said.String())
			}
		}
	}
}
