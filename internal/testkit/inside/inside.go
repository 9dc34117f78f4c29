// Package inside lets a test binary be the whole program: under the name "hearth" in a
// process of its own, and within the process of the test, by launch.Program.Here.
//
// It is apart from package launch because it links the program. Proofs and benchmarks
// start binaries, and should not contain what they measure.
package inside

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"hearth/internal/command"
	"hearth/internal/testkit/launch"
)

// Main runs the tests of a package with the program in PATH, and exits. It belongs
// into TestMain.
func Main(m testscript.TestingM) {
	launch.Inside = func(in launch.Inner) int {
		return command.Run(command.Process{Version: "devel", Args: in.Args, Env: in.Env, Stdout: in.Output, Stderr: in.Output, Notify: in.Notify})
	}
	testscript.Main(m, map[string]func(){launch.Name: func() { os.Exit(command.Main("devel", "")) }})
}
