package command

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/top"
	"hearth/internal/tty"
)

func topVerb() verb {
	return verb{
		name:    "top",
		summary: "watch a running server in a terminal",
		about: `
Shows a running server each second: whether all is well, figures, hot keys and events. On a
terminal it has keys, which ? explains. Otherwise, and with TERM=dumb, it prints one page
after the other.`,
		examples: []example{
			{"hearth top", "watch the server of the configuration"},
			{"hearth top -1 -json", "one second of it for programs"},
		},
		begin: func(flags *flag.FlagSet) run {
			var o operatorFlags
			c := top.Config{Order: top.Orders[0]}
			o.register(flags)
			once := flags.Bool("1", false, "print one page, and end")
			flags.Func("n", "print so many pages: a `NUMBER`", func(text string) (err error) {
				if c.Count, err = strconv.Atoi(text); err != nil || c.Count < 1 {
					return errors.New("write 1 or more; without it there is no end")
				}
				return nil
			})
			flags.BoolVar(&c.JSON, "json", false, "one JSON object a line instead of pages")
			flags.Func("by", "the order of hot keys: `"+strings.Join(top.Orders, "|")+"`", func(text string) error {
				if c.Order = text; !slices.Contains(top.Orders, text) {
					return fmt.Errorf("write one of %s", strings.Join(top.Orders, ", "))
				}
				return nil
			})
			flags.StringVar(&c.Filter, "filter", "", "only hot keys that have this `TEXT` in their key or resource")
			return func(p Process, path string, _ []string) error {
				if *once {
					if c.Count != 0 {
						return p.refuse(topVerb(), nil, "-1 and -n contradict each other: give one of them")
					}
					c.Count = 1
				}
				return p.top(path, o, c)
			}
		},
	}
}

// top shows the running server.
func (p Process) top(config string, o operatorFlags, c top.Config) (err error) {
	if c.Client, err = p.operator(config, o, 0); err != nil {
		return err
	}
	defer c.Client.Close()
	c.Out, c.Errors, c.Env, c.Notify = p.Stdout, p.Stderr, tty.Env(p.Env), p.Notify
	return c.Run()
}
