package command

import (
	"context"
	"flag"
	"fmt"
	"io"

	"hearth/internal/app"
	"hearth/internal/config"
)

func checkVerb() verb {
	return verb{
		name:    "check",
		summary: "report every fault of the configuration",
		about: `
Reports every fault of the configuration at once, each with file, line, key and what to write
instead, all that the server would refuse at its start. Without a fault it prints what would
be warned of, which keys variables override, and which tables the change feed goes by.
It opens nothing that the configuration names, so a configuration can be checked on another
machine, before it is installed.

With ` + "`-connect`" + ` it also opens the database with every statement, Redis and the origins,
within ten seconds each, and changes nothing there.

Exits with 0 if there is no fault, and with 1 if there is one.`,
		examples: []example{
			{"hearth check -config /etc/hearth/config.toml", "before a reload or a restart"},
			{"hearth check -connect", "also ask the servers that the configuration names"},
		},
		begin: func(flags *flag.FlagSet) run {
			connect := flags.Bool("connect", false, "also ask the database about every statement, and whether Redis and origins can be used")
			return func(p Process, path string, _ []string) error {
				if err := p.check(path, *connect, p.Stdout, p.Stderr); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.Stdout, "%s: no faults\n", path)
				return err
			}
		},
	}
}

// check finds what serve would refuse. Which tables the change feed goes by it prints to
// out, and what serve would warn of to remarks. Nothing is opened, so that a configuration can be checked on another machine, before it is
// installed. Asked to connect it also opens what the configuration names, the database
// with every statement, Redis and the origins, and changes nothing there.
func (p Process) check(path string, connect bool, out, remarks io.Writer) error {
	cfg, faults := config.Inspect(path, p.Env)
	if cfg == nil {
		return config.NewFaults(faults)
	}
	report := app.Check(cfg, faults)
	var notes []string
	if connect && len(report.Faults) == 0 {
		report.Faults, notes = app.Connect(context.Background(), cfg)
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(remarks, "warning:", w)
	}
	for _, n := range append(cfg.Overrides(), notes...) {
		fmt.Fprintln(remarks, "note:", n)
	}
	for _, line := range report.Feed {
		fmt.Fprintln(out, line)
	}
	return report.Err()
}
