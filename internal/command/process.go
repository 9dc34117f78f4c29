package command

import (
	"io"
	"os"
)

// Process is what the program takes from the process it runs in. A test gives it an
// environment, writers and signals of its own. What the service manager passes, its
// sockets and the variables that describe them, is always the process's.
type Process struct {
	Version string
	// Schema is the JSON Schema of the configuration.
	Schema string
	// Name is how the program was called, for commands that it proposes; "": hearth.
	Name string
	Args []string // without the program's name
	Env  []string // as os.Environ has it
	// Stdout and Stderr are written to from any goroutine; by a start-up that hangs, and
	// was left behind, also after Run.
	Stdout, Stderr io.Writer
	// Notify subscribes to signals, as signal.Notify does. It is called by the
	// verbs serve and top. After a second SIGTERM or SIGINT the process kills
	// itself, wherever they come from.
	Notify func(c chan<- os.Signal, signals ...os.Signal)
}
