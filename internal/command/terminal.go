package command

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// isTerminal tells whether somebody looks at what is written: neither a file nor a pipe nor
// the journal has the size of a window.
func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// watched tells whether a person has started the program at a terminal. A service manager may
// give a terminal to what it starts; then it wants to be notified.
func (p Process) watched() bool { return isTerminal(p.Stderr) && p.variable("NOTIFY_SOCKET") == "" }

// coloured tells whether the terminal shows colours and its user wants any (no-color.org).
func (p Process) coloured() bool {
	term := p.variable("TERM")
	return term != "" && term != "dumb" && p.variable("NO_COLOR") == ""
}

// variable is the value of an environment variable; of two the last one counts.
func (p Process) variable(name string) string {
	for _, line := range slices.Backward(p.Env) {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return value
		}
	}
	return ""
}
