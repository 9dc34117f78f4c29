package command_test

import (
	"bytes"
	"os"
	"os/signal"
	"strings"
	"testing"

	"hearth/internal/command"
)

// run runs the program with arguments.
func run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = command.Run(command.Process{Version: "1.2.3", Args: args, Stdout: &out, Stderr: &err, Notify: signal.Notify})
	return status, out.String(), err.String()
}

// configuration writes a configuration file and returns its name.
func configuration(t *testing.T, text string) string {
	t.Helper()
	file := t.TempDir() + "/some.toml"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAddressesSayWhereTheyAreFrom: from the file, a variable that takes its place, or a flag.
func TestAddressesSayWhereTheyAreFrom(t *testing.T) {
	file := configuration(t, "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n")
	for _, c := range []struct{ args, env, from string }{
		{"probe", "", "server.listen of " + file},
		{"probe", "HEARTH_SERVER_LISTEN=", "server.listen of " + file},
		{"probe", "HEARTH_SERVER_LISTEN=127.0.0.2:0", "HEARTH_SERVER_LISTEN"},
		{"probe -live", "HEARTH_SERVER_ADMIN=127.0.0.2:0", "HEARTH_SERVER_ADMIN"},
		{"reload", "", "server.admin of " + file},
		{"reload", "HEARTH_SERVER_ADMIN=127.0.0.2:0", "HEARTH_SERVER_ADMIN"},
		{"probe -address :0", "HEARTH_SERVER_LISTEN=127.0.0.2:0", "-address"},
	} {
		var out bytes.Buffer
		args := append([]string{"-config", file}, strings.Fields(c.args)...)
		status := command.Run(command.Process{Args: args, Env: []string{c.env}, Stdout: &out, Stderr: &out, Notify: signal.Notify})
		if want := "(" + c.from + ") leaves the port to the kernel; the server logs which one it is: name that\n"; status != 1 || !strings.HasSuffix(out.String(), want) {
			t.Errorf("hearth %s with %q: %d, %q, without %q", c.args, c.env, status, out.String(), want)
		}
	}
}

// TestFlagsStandAnywhere: before the verb, behind it, and behind its arguments.
func TestFlagsStandAnywhere(t *testing.T) {
	good, faulty := configuration(t, "[server]\ndrain = \"0s\"\n"), configuration(t, "colour = 1\n")
	for _, args := range []string{
		"-config GOOD check", "check -config GOOD", "check --config=GOOD -connect", "check -connect -config GOOD",
		"-config FAULTY check -config GOOD", "-config FAULTY check -config FAULTY -config GOOD",
	} {
		args = strings.NewReplacer("GOOD", good, "FAULTY", faulty).Replace(args)
		if status, stdout, stderr := run(strings.Fields(args)...); status != 0 || stdout != good+": no faults\n" {
			t.Errorf("hearth %s: %d, %q, %q", args, status, stdout, stderr)
		}
	}
	// The faulty configuration is read, and so is named: the flag has arrived.
	for _, args := range []string{
		"feed -config FAULTY status", "feed status -config FAULTY", "feed status -json -config FAULTY",
		"feed flush user -config FAULTY", "explain /user/7 -config FAULTY -admin nowhere", "serve -config FAULTY",
		"-config FAULTY serve", "-config FAULTY",
	} {
		args = strings.ReplaceAll(args, "FAULTY", faulty)
		if status, _, stderr := run(strings.Fields(args)...); status != 1 || !strings.Contains(stderr, faulty+":1: colour") && !strings.Contains(stderr, "nowhere") {
			t.Errorf("hearth %s: %d, %q", args, status, stderr)
		}
	}
}

// TestWrongArgumentsAreNamed: with what was meant, how the verb is written, and status 2.
func TestWrongArgumentsAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"serv":                   `hearth: there is no verb "serv"; did you mean "serve"?`,
		"paint":                  "hearth: there is no verb \"paint\"\n",
		"feed instal":            `hearth feed: there is no verb "instal"; did you mean "install"?`,
		"help chek":              `hearth: there is no verb "chek"; did you mean "check"?`,
		"help check -x":          "hearth help: flag provided but not defined: -x\n",
		"help feed instal":       `hearth feed: there is no verb "instal"; did you mean "install"?`,
		"help check this":        `hearth check: there is no verb "this"`,
		"check -conect":          `not defined: -conect; did you mean -connect?`,
		"-connect check":         `not defined: -connect; it is one of the verb check: write it behind the verb`,
		"-version":               `not defined: -version; did you mean hearth version?`,
		"version -config x":      `hearth version: flag provided but not defined: -config`,
		"check here":             `hearth check: takes no argument "here"`,
		"explain":                `hearth explain: PATH is missing`,
		"explain /a /b":          `hearth explain: takes no argument "/b"`,
		"feed flush":             `hearth feed flush: RESOURCE is missing`,
		"feed status -- -json":   `hearth feed status: takes no argument "-json"`,
		"feed install -role":     `flag needs an argument: -role`,
		"probe -timeout 0s":      `hearth probe: invalid value "0s" for flag -timeout: write more than 0s`,
		"probe -timeout -1s":     `hearth probe: invalid value "-1s" for flag -timeout`,
		"feed install -apply=no": `invalid boolean value "no" for -apply`,
	} {
		status, stdout, stderr := run(strings.Fields(args)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "\nusage: hearth") || !strings.HasSuffix(stderr, " says more\n") {
			t.Errorf("hearth %s: %d, %q\n%s", args, status, stdout, stderr)
		}
	}
}

// TestHelp: each verb explains itself in two ways, in lines that fit a terminal.
func TestHelp(t *testing.T) {
	for _, v := range command.VerbNames() {
		args := strings.Fields(v)
		status, asked, stderr := run(append([]string{"help"}, args...)...)
		if status != 0 || stderr != "" || !strings.HasPrefix(asked, strings.TrimSpace("usage: hearth")) {
			t.Errorf("hearth help %s: %d, %q\n%s", v, status, stderr, asked)
		}
		status, stdout, flagged := run(append(args, "-h")...)
		if status != 0 || stdout != "" || flagged != asked {
			t.Errorf("hearth %s -h: %d, %q\n%s", v, status, stdout, flagged)
		}
		for line := range strings.Lines(asked) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 80 && !strings.HasPrefix(line, "  $ ") || strings.TrimRight(line, " ") != line || strings.Contains(line, "`") {
				t.Errorf("hearth help %s: %q", v, line)
			}
		}
	}
}

// TestTheTableIsComplete: nothing that is generated from it has a gap.
func TestTheTableIsComplete(t *testing.T) { command.CheckTable(t.Errorf) }

// TestTheCommentOfMainListsTheVerbs: it is the first that a reader of the program sees.
func TestTheCommentOfMainListsTheVerbs(t *testing.T) {
	main, err := os.ReadFile("../../main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := run("help")
	var comment strings.Builder
	list, _, _ = strings.Cut(list, "\nExit status\n")
	for line := range strings.Lines(list) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  -") {
			comment.WriteString("//\t" + strings.TrimSpace(line) + "\n")
		}
	}
	if !strings.Contains(string(main), comment.String()) {
		t.Errorf("the comment of main.go should have the verbs so:\n%s", comment.String())
	}
}
