package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hearth/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the expected output in scripts and golden files")

// TestMain lets scripts run this very program as "hearth".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hearth": main,
	})
}

// TestScripts plays testdata/script against the program as an operator runs
// it: a process of its own, its signals, its sockets. Each script has a
// directory of its own and, unless it says otherwise, listens on the sockets
// public.sock and admin.sock there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HEARTH_SERVER_LISTEN", "unix:"+filepath.Join(env.WorkDir, "public.sock"))
			env.Setenv("HEARTH_SERVER_ADMIN", "unix:"+filepath.Join(env.WorkDir, "admin.sock"))
			env.Values["servers"] = &servers{}
			env.Setenv("PORT", fmt.Sprint(testkit.FreePort(t)))
			manual, err := os.ReadFile("config.toml")
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "demo.toml"), manual, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http":    httpCommand,
			"until":   untilCommand,
			"redis":   redisCommand,
			"pg":      postgresCommand,
			"signal":  signalCommand,
			"kill9":   killCommand,
			"present": presentCommand,
			"play":    playCommand,
			"repeat":  repeatCommand,
		},
	})
}
