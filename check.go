package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"hearth/internal/app"
	"hearth/internal/config"
)

// check finds what serve would refuse, and prints what it would warn of. Nothing is
// opened, unless asked to connect.
func check(path string, connect bool, stderr io.Writer) error {
	cfg, faults := config.Inspect(path, os.Environ())
	if cfg == nil {
		return config.NewFaults(faults)
	}
	report := app.Check(cfg, faults)
	if connect && len(report.Faults) == 0 {
		report.Faults = app.Connect(context.Background(), cfg)
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	for _, o := range cfg.Overrides() {
		fmt.Fprintln(stderr, "note:", o)
	}
	return report.Err()
}

// errorOr prefers the list of all faults to the first that was met.
func errorOr(all, first error) error {
	if all != nil {
		return all
	}
	return first
}
