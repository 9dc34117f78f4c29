// Package tty tells what the program's output goes to, and what that can show.
//
// Everything that greets, colours or draws asks here, so that a user who wants no colours, or
// has a terminal without them, says so once; and what differs between systems is in one place.
package tty

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Is tells whether somebody looks at what is written: neither a file nor a pipe nor the journal
// has the size of a window.
func Is(w io.Writer) bool {
	f, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// Env is an environment, as os.Environ has it.
type Env []string

// Variable is the value of a variable, "" without one; of two the last one counts.
func (e Env) Variable(name string) string {
	for _, line := range slices.Backward(e) {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return value
		}
	}
	return ""
}

// Dumb tells whether a terminal of this environment cannot be drawn on.
func (e Env) Dumb() bool { return e.Variable("TERM") == "dumb" || e.Variable("TERM") == "" }

// Colours tells whether the terminal shows colours and its user wants any (no-color.org).
func (e Env) Colours() bool { return !e.Dumb() && e.Variable("NO_COLOR") == "" }
