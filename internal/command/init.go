package command

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"hearth/internal/app"
	"hearth/internal/config"
	"hearth/internal/draft"
)

func initVerb() verb {
	return verb{
		name:    "init",
		summary: "draft a configuration for own tables, or for a service",
		about: `
Drafts a configuration for what is there already, and writes it to the file of -config: each
table with its key, its statements and how its columns look, or each path of a service. Then
it is checked, as by check -connect. Nothing else is written, and nothing changed at whom it
asks.

-from is the URL of a database (` + "`postgres://user@host/name`, `mysql://user@host/name`, `sqlite:FILE`" + `),
an OpenAPI document in JSON (` + "`openapi.json`, `https://host/openapi.json`, or `https://host`" + ` where it
is at /openapi.json), or one record of a service, ` + "`https://host/users/{id:int}`" + `. A URL with a
password is kept in a file of its own, which the configuration names. Arguments can be seen
by everybody on the machine: -from-file keeps the URL out of them.

Columns whose names say that no client should see them, such as a password, are left out,
and so is what no path can name; what that is, and why, is said.`,
		examples: []example{
			{"hearth init -from postgres://hearth@db.internal/shop -tables customers,orders", "serve two tables"},
			{"hearth init -from-file url -redis redis://127.0.0.1:6379 -feed", "all tables, with the change feed"},
			{"hearth init -from 'https://users.internal/v1/users/{id:int}'", "stand before a service"},
		},
		begin: func(flags *flag.FlagSet) run {
			var a initArguments
			flags.StringVar(&a.From, "from", "", "the `URL` of what to serve, or the file of an OpenAPI document")
			flags.StringVar(&a.fromFile, "from-file", "", "a `FILE` that holds the URL of -from; - is standard input")
			flags.Func("tables", "serve only these `TABLES`, a list with commas, or paths that begin with these words (default all)", a.readTables)
			flags.StringVar(&a.Redis, "redis", "", "the `URL` of the shared tier (default the embedded one)")
			flags.BoolVar(&a.Feed, "feed", false, "have the change feed on, which needs its triggers (hearth feed install)")
			flags.BoolVar(&a.force, "force", false, "write over files that are there")
			flags.BoolVar(&a.print, "print", false, "write to standard output, and no file")
			return func(p Process, path string, _ []string) error { return p.init(path, a) }
		},
	}
}

// initArguments are those of hearth init.
type initArguments struct {
	draft.Options
	fromFile     string
	force, print bool
}

func (a *initArguments) readTables(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("names an empty table")
		}
		a.Names = append(a.Names, name)
	}
	return nil
}

// init drafts a configuration, writes it, and has it checked.
func (p Process) init(path string, a initArguments) error {
	if err := p.readFrom(&a); err != nil {
		return err
	}
	if !a.print {
		if err := mayWrite(path, a.force); err != nil {
			return err
		}
	}
	d, err := draft.New(context.Background(), a.Options, filepath.Dir(path))
	if err != nil {
		return err
	}
	if a.print {
		for _, f := range d.Files {
			fmt.Fprintf(p.Stderr, "note: -print writes no file: the configuration names %q beside it, which has to hold the URL with its password, with mode 0600\n", f.Name)
		}
		_, err := p.Stdout.Write(d.Text)
		return err
	}
	if err := p.undisturbed(func() error { return writeDraft(path, d, a.force) }); err != nil {
		return err
	}
	for i, l := range d.Left {
		if i == shownRows {
			fmt.Fprintf(p.Stderr, "note: left out: %d more, which the end of %s names\n", len(d.Left)-i, path)
			break
		}
		fmt.Fprintln(p.Stderr, "note: left out:", l)
	}
	cfg, err := checkDraft(path, p.Env, a.Feed, p.Stderr)
	if err != nil {
		return fmt.Errorf("%s is written, and needs your hand before it can be served:\n%w", path, err)
	}
	p.reportDraft(path, d, a.Feed, cfg.Server)
	return nil
}

// shownRows is how many resources, and how many reasons, are printed: the file has all.
const shownRows = 20

// readFrom finds out what to draft for.
func (p Process) readFrom(a *initArguments) (err error) {
	switch {
	case a.From == "" && a.fromFile == "":
		return p.refuse(initVerb(), nil, "name what to serve with -from, or with -from-file")
	case a.From != "" && a.fromFile != "":
		return p.refuse(initVerb(), nil, "-from and -from-file say the same; give one of them")
	case a.force && a.print:
		return p.refuse(initVerb(), nil, "-print writes no file, so -force has no meaning beside it")
	case a.fromFile != "":
		a.From, err = readSecretFile(a.fromFile, "-from-file")
		return err
	}
	if strings.Contains(a.From, "://") && draft.HasPassword(a.From) {
		fmt.Fprintln(p.Stderr, "warning: a password among the arguments can be seen by everybody on this machine while this runs; -from-file keeps it out of them")
	}
	return nil
}

// checkDraft finds what would keep the file from being served. The triggers of the feed are not
// there yet, so servers are not asked where it is on.
func checkDraft(path string, env []string, feed bool, remarks io.Writer) (*config.Config, error) {
	cfg, faults := config.Inspect(path, env)
	if cfg == nil {
		return nil, config.NewFaults(faults)
	}
	report := app.Check(cfg, faults)
	if len(report.Faults) == 0 && !feed {
		report.Faults, _ = app.Connect(context.Background(), cfg)
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(remarks, "warning:", w)
	}
	return cfg, report.Err()
}

// reportDraft says what was written, and what to do next at the addresses that are in effect,
// which variables may have set.
func (p Process) reportDraft(path string, d *draft.Draft, feed bool, s config.Server) {
	out := p.Stdout
	fmt.Fprintf(out, "%s serves:\n", path)
	example := ""
	for i, r := range d.Resources {
		example = cmp.Or(example, r.Example)
		switch {
		case i == shownRows:
			fmt.Fprintf(out, "  … and %d more\n", len(d.Resources)-i)
		case i < shownRows:
			fmt.Fprintf(out, "  %-40s %s\n", r.Path, r.Methods())
		}
	}
	for _, f := range d.Files {
		fmt.Fprintf(out, "%s holds the URL with its password, for its owner's eyes only: give it to the user that the server runs as\n", filepath.Join(filepath.Dir(path), f.Name))
	}
	fmt.Fprintf(out, "\nNext:\n")
	again := p.called() + " -config " + shellWord(path)
	if feed {
		fmt.Fprintf(out, "  %s feed install        # the SQL of the change feed, for the database's owner\n", again)
	}
	fmt.Fprintf(out, "  %s\n", again)
	if at := reached(s.Listen, s.TLS.Cert != ""); example != "" && !strings.HasSuffix(at.url, ":0") {
		served := app.Served{ClientCerts: s.TLS.ClientCA != "", ProxyHeader: s.ProxyProtocol}
		fmt.Fprintf(out, "  %s\n", curl(served, at, example))
	}
}
