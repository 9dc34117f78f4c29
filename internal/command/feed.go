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

const feedUsage = `usage: hearth [-config FILE] feed install [-apply] [-prune] [-role ACCOUNT]...
       hearth [-config FILE] feed remove [-apply]
       hearth [-config FILE] feed status [-json]
       hearth [-config FILE] feed flush RESOURCE...

install  prints the SQL that installs the triggers of the change feed, for the
         database's own client; done again it changes nothing, and after an upgrade
         it brings them up to date
remove   prints the SQL that leaves nothing of the feed in the database
status   tells whether changes are told, and who drains the outbox; 0: live, 1: not
flush    asks for all records of resources to be removed from every cache

-apply   run the SQL instead of printing it
-prune   remove what other configurations have installed and this one does not want
-role    an account that drains the outbox and is not the one of feed.url, to be
         granted what that takes
-json    for programs
`

// errUsage are arguments that no verb takes; the usage has been printed.
var errUsage = errors.New("usage")

// errNotLive is the answer of status that the feed is not live, which it has told.
var errNotLive = errors.New("the feed is not live")

// feedArguments are those of a verb of hearth feed.
type feedArguments struct {
	verb      string
	install   app.FeedInstall // Apply is remove's, too
	json      bool
	resources []string
}

// readFeedArguments reads them.
func (p Process) readFeedArguments(args []string) (a feedArguments, err error) {
	flags := flag.NewFlagSet("hearth feed", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	flags.Usage = func() { fmt.Fprint(p.Stderr, feedUsage) }
	if len(args) > 0 {
		a.verb, args = args[0], args[1:]
	}
	switch a.verb {
	case "install":
		flags.BoolVar(&a.install.Apply, "apply", false, "")
		flags.BoolVar(&a.install.Prune, "prune", false, "")
		flags.Func("role", "", func(name string) error {
			if strings.TrimSpace(name) == "" || strings.ContainsRune(name, 0) {
				return errors.New("is no account's name")
			}
			a.install.Roles = append(a.install.Roles, name)
			return nil
		})
	case "remove":
		flags.BoolVar(&a.install.Apply, "apply", false, "")
	case "status":
		flags.BoolVar(&a.json, "json", false, "")
	case "flush":
	case "-h", "-help", "--help":
		flags.Usage()
		return a, flag.ErrHelp
	default:
		flags.Usage()
		return a, errUsage
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return a, err
		}
		return a, errUsage // which package flag has told
	}
	a.resources = flags.Args()
	if (len(a.resources) > 0) != (a.verb == "flush") {
		flags.Usage()
		return a, errUsage
	}
	return a, nil
}

// feed does what an operator does with the change feed by hand.
func (p Process) feed(path string, args []string) error {
	a, err := p.readFeedArguments(args)
	if err != nil {
		return err
	}
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
	switch a.verb {
	case "install":
		done, err := tool.Install(ctx, a.install)
		return p.tellInstalled(done, a.install.Apply, err)
	case "remove":
		done, err := tool.Remove(ctx, a.install.Apply)
		return p.tellInstalled(done, a.install.Apply, err)
	case "flush":
		if err := tool.Flush(ctx, a.resources); err != nil {
			return err
		}
		fmt.Fprintf(p.Stdout, "all records of %s are to be removed: whoever drains the outbox does it, as soon as the feed is live (see: hearth feed status)\n", strings.Join(a.resources, ", "))
		return nil
	}
	return p.feedStatus(ctx, tool, a.json)
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
		err = errNotLive
	}
	return err
}
