package tty

import (
	"os"
	"strings"
	"testing"
)

// TestEnv: who wants no colours, or has a terminal without them, gets none.
func TestEnv(t *testing.T) {
	for env, want := range map[string]bool{"TERM=xterm": true, "TERM=dumb": false, "": false, "TERM=xterm NO_COLOR=1": false, "TERM=xterm NO_COLOR=": true, "TERM=dumb TERM=xterm": true} {
		if got := Env(strings.Fields(env)).Colours(); got != want {
			t.Errorf("%q: colours %t, want %t", env, got, want)
		}
	}
}

// TestIs: a file, a pipe and what is no file at all are no terminals.
func TestIs(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if Is(null) || Is(new(strings.Builder)) {
		t.Error("what nobody looks at is taken for a terminal")
	}
}
