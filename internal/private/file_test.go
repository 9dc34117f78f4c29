package private_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"hearth/internal/private"
)

func TestCreateLeavesWhatStands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	mode := func(want fs.FileMode) {
		t.Helper()
		if err := private.Create(path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != want || private.Shared(path) != (want != private.Mode) {
			t.Errorf("got %v, shared %v, want %v", got, private.Shared(path), want)
		}
	}
	mode(private.Mode)
	if err := os.WriteFile(path, []byte("here"), private.Mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	mode(0o644)
	if text, err := os.ReadFile(path); string(text) != "here" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := private.Create(filepath.Join(path, "below")); err == nil {
		t.Error("a file below a file was made")
	}
	if private.Shared(filepath.Join(t.TempDir(), "nothing")) {
		t.Error("what is not there is shared")
	}
}
