package command

import (
	"context"
	"fmt"
	"io"

	"hearth/internal/app"
	"hearth/internal/config"
)

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
