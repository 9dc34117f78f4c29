package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/app"
	"hearth/internal/config"
)

func feedVerb() verb {
	return verb{
		name:    "feed",
		summary: "install, remove, see and flush the change feed in the database",
		about: `
The change feed tells every instance what anybody changes in the database. Triggers on the
watched tables write changes into an outbox, and one instance drains it.`,
		verbs: []verb{feedInstallVerb(), feedRemoveVerb(), feedStatusVerb(), feedFlushVerb()},
	}
}

func feedInstallVerb() verb {
	return verb{
		name:    "install",
		summary: "print the SQL that installs the triggers, or run it",
		about: `
Prints the SQL that installs the triggers of the change feed, for the database's own client.
Done again it changes nothing, and after an upgrade it brings them up to date.`,
		examples: []example{
			{`hearth feed install | psql -v ON_ERROR_STOP=1 "$URL"`, "as an account that may create triggers"},
			{"hearth feed install -apply", "as the account of the configuration"},
		},
		begin: func(flags *flag.FlagSet) run {
			var a app.FeedInstall
			registerApply(flags, &a.Apply)
			flags.BoolVar(&a.Prune, "prune", false, "also remove what other configurations have installed and this one does not want")
			flags.Func("role", "an `ACCOUNT...` that drains the outbox and is not the one of feed.url, to be granted what that takes", func(name string) error {
				if strings.TrimSpace(name) == "" || strings.ContainsRune(name, 0) {
					return errors.New("is no account's name")
				}
				a.Roles = append(a.Roles, name)
				return nil
			})
			return withFeed(func(ctx context.Context, p Process, tool *app.FeedTool, _ []string) error {
				done, err := tool.Install(ctx, a)
				return p.tellInstalled(done, a.Apply, err)
			})
		},
	}
}

func feedRemoveVerb() verb {
	return verb{
		name:    "remove",
		summary: "print the SQL that removes all of the feed, or run it",
		about:   "Prints the SQL that leaves nothing of the feed in the database.",
		begin: func(flags *flag.FlagSet) run {
			var apply bool
			registerApply(flags, &apply)
			return withFeed(func(ctx context.Context, p Process, tool *app.FeedTool, _ []string) error {
				done, err := tool.Remove(ctx, apply)
				return p.tellInstalled(done, apply, err)
			})
		},
	}
}

func feedStatusVerb() verb {
	return verb{
		name:    "status",
		summary: "tell whether changes are told, and who drains the outbox",
		about: `
Tells whether changes are told, and who drains the outbox. Exits with 0 if the feed is live,
and with 1 if it is not.`,
		begin: func(flags *flag.FlagSet) run {
			asJSON := flags.Bool("json", false, "for programs")
			return withFeed(func(ctx context.Context, p Process, tool *app.FeedTool, _ []string) error {
				return p.feedStatus(ctx, tool, *asJSON)
			})
		},
	}
}

func feedFlushVerb() verb {
	return verb{
		name: "flush", arguments: "RESOURCE...",
		summary: "ask for all records of resources to be removed from every cache",
		about: `
Asks for all records of resources to be removed from every cache. Whoever drains the outbox
does it, as soon as the feed is live.`,
		examples: []example{{"hearth feed flush user", "after a change of rows that fired no trigger"}},
		begin: func(*flag.FlagSet) run {
			return withFeed(func(ctx context.Context, p Process, tool *app.FeedTool, resources []string) error {
				if err := tool.Flush(ctx, resources); err != nil {
					return err
				}
				fmt.Fprintf(p.Stdout, "all records of %s are to be removed: whoever drains the outbox does it, as soon as the feed is live (see: hearth feed status)\n", strings.Join(resources, ", "))
				return nil
			})
		},
	}
}

func registerApply(flags *flag.FlagSet, apply *bool) {
	flags.BoolVar(apply, "apply", false, "run the SQL instead of printing it")
}

// withFeed opens the database for what an operator does with the change feed by hand.
func withFeed(do func(context.Context, Process, *app.FeedTool, []string) error) run {
	return func(p Process, path string, args []string) error {
		cfg, err := config.Load(path, p.Env)
		if err != nil {
			return err
		}
		tool, err := app.OpenFeedTool(cfg)
		if err != nil {
			return err
		}
		defer tool.Close()
		ctx, cancel := tool.Within(context.Background())
		defer cancel()
		return do(ctx, p, tool, args)
	}
}

// tellInstalled prints the script, or what it has done.
func (p Process) tellInstalled(done app.Installation, applied bool, err error) error {
	if err != nil {
		return err
	}
	if !applied {
		fmt.Fprint(p.Stdout, done.SQL)
		return nil
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(p.Stderr, "note:", w)
	}
	for _, line := range done.Done {
		fmt.Fprintln(p.Stdout, line)
	}
	if len(done.Done) == 0 {
		fmt.Fprintln(p.Stdout, "nothing was installed")
	}
	if len(done.Faults) > 0 {
		return errors.New(strings.Join(slices.Compact(done.Faults), "\n"))
	}
	return nil
}

// feedStatus tells how the feed is.
func (p Process) feedStatus(ctx context.Context, tool *app.FeedTool, asJSON bool) (err error) {
	s := tool.Status(ctx)
	if asJSON {
		out := json.NewEncoder(p.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(s)
	} else {
		err = s.Write(p.Stdout)
	}
	if err == nil && !s.Live {
		err = errTold
	}
	return err
}
