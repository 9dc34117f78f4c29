package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"hearth/internal/operator"
)

// reloadTimeout is longer than the server waits for a reload before it answers that it
// goes on.
const reloadTimeout = 20 * time.Second

func reloadVerb() verb {
	return verb{
		name:    "reload",
		summary: "have a running server read its configuration again",
		about: `
Has the running server read its configuration file again, with the secrets and certificates
that it names, waits, and tells how that has ended: as SIGHUP does, whose outcome is in the
log alone. It is the file that the server was started with; ` + "`-config`" + ` says only where
the server is. With a fault the configuration before stays in use, and all faults are
printed.

Exits with 0 once the configuration is served, and with 1 if it is not.`,
		examples: []example{
			{"hearth reload -config /etc/hearth/config.toml", "after a change of the file"},
			{"hearth reload -admin unix:/run/hearth/admin.sock", "at a socket, whatever the configuration says"},
		},
		begin: func(flags *flag.FlagSet) run {
			var o operatorFlags
			o.register(flags)
			return func(p Process, path string, _ []string) error { return p.reload(path, o) }
		},
	}
}

// reload asks the running server to reload, and tells the outcome.
func (p Process) reload(path string, o operatorFlags) error {
	client, err := p.operator(path, o, reloadTimeout)
	if err != nil {
		return err
	}
	defer client.Close()
	_, done, err := client.Post(context.Background(), "/api/reload", "{}")
	refusal, refused := errors.AsType[*operator.Refusal](err)
	switch {
	case refused && len(refusal.Faults) > 0:
		for _, fault := range refusal.Faults {
			fmt.Fprintln(p.Stderr, operator.Printable(fault))
		}
		return errors.New(operator.Printable(refusal.Detail))
	case err != nil:
		return err
	case !done:
		return errors.New("the reload takes long, and goes on; the log will say how it ends")
	}
	_, err = fmt.Fprintln(p.Stdout, "the configuration is reloaded, and served")
	return err
}
