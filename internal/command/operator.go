package command

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"hearth/internal/config"
	"hearth/internal/operator"
	"hearth/internal/tty"
)

// operatorFlags say which admin listener a verb asks, and as whom.
type operatorFlags struct {
	admin     string // the address; "": server.admin
	tokenFile string // "": a token of the configuration
}

func (o *operatorFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&o.admin, "admin", "", "the `ADDRESS` of the admin listener, HOST:PORT or unix:PATH, instead of server.admin of the configuration")
	flags.StringVar(&o.tokenFile, "token-file", "", `a `+"`FILE`"+` that holds a token with the scope "admin", instead of the first such token of the configuration; - reads standard input`)
}

// operator makes the client of a verb that asks a running server. The configuration tells
// where that is and what opens it. It need not be without faults: the server that runs has
// begun with an earlier one, and secrets of others may be closed to who asks.
func (p Process) operator(path string, o operatorFlags, timeout time.Duration) (*operator.Client, error) {
	cfg, faults := config.Inspect(path, p.Env)
	c := operator.Config{Address: o.admin, From: "-admin", Timeout: timeout}
	if c.Address == "" {
		if cfg == nil {
			return nil, fmt.Errorf("%w\nor name the admin listener with -admin ADDRESS", config.NewFaults(faults))
		}
		c.Address, c.From = cfg.Server.Admin, p.setBy("server.admin", path)
		for _, f := range faults {
			if strings.Contains(f.String(), "server.admin:") || strings.HasPrefix(f.String(), config.VariableOf("server.admin")+":") {
				return nil, fmt.Errorf("%w\nor name the admin listener with -admin ADDRESS", config.NewFaults([]config.Fault{f}))
			}
		}
	}
	var err error
	switch {
	case o.tokenFile != "":
		c.Token, err = readSecretFile(o.tokenFile, "-token-file")
		c.TokenFrom = o.tokenFile
	case cfg == nil:
	case o.admin != "" && !operator.Local(o.admin):
		// The other machine may be anybody's, and the way there is in the clear.
		c.TokenFrom = "tokens of " + path + " are not sent to another machine: name a file that holds the token with -token-file"
	default:
		c.Token, c.TokenFrom = adminToken(cfg, path)
	}
	if err != nil {
		return nil, err
	}
	return operator.New(c)
}

// setBy is where a key has its value from, for errors: the file, or the variable that takes its place.
func (p Process) setBy(key, path string) string {
	if v := config.VariableOf(key); tty.Env(p.Env).Variable(v) != "" {
		return v
	}
	return key + " of " + path
}

// adminToken is the first token of a configuration that opens the admin listener, and where
// it stands; without one, why that is and what to do.
func adminToken(cfg *config.Config, path string) (token, from string) {
	if len(cfg.Auth.Tokens) == 0 {
		return "", path + " has no [[auth.token]]: is it the one of the server that runs there? -token-file FILE names another token"
	}
	from = path + ` has no [[auth.token]] with the scope "admin": add one, or name another with -token-file`
	for _, t := range cfg.Auth.Tokens {
		switch {
		case !slices.Contains(t.Scopes, "admin"):
		case t.Token.Empty():
			from = fmt.Sprintf("the token %q of %s cannot be read: run this as somebody who may read it, or name another with -token-file (hearth check says more)", t.Name, path)
		default:
			return t.Token.Reveal(), fmt.Sprintf("[[auth.token]] %q of %s", t.Name, path)
		}
	}
	return "", from
}

// maxSecretFile bounds a file that holds a secret, in bytes.
const maxSecretFile = 64 << 10

// readSecretFile reads the file of a flag; "-" is standard input, so that a secret need not
// become a file. The line break at its end is none of it.
func readSecretFile(path, flag string) (string, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("opening the file of %s: %w", flag, err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("reading the file of %s: %w", flag, err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("the file %q of %s is empty; write into it what that stands for", path, flag)
	}
	return secret, nil
}
