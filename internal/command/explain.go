package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"hearth/internal/operator"
)

const explainUsage = `usage: hearth [-config FILE] explain [-json] [-admin ADDRESS] [-token-file FILE] PATH

tells how the next GET of a path, such as /user/7, would be answered, and why: it asks the
running server, and changes nothing there.

-json        for programs
` + operatorUsage

// explain asks the running server about a path.
func (p Process) explain(config string, args []string) error {
	flags := flag.NewFlagSet("hearth explain", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	flags.Usage = func() { fmt.Fprint(p.Stderr, explainUsage) }
	var o operatorFlags
	o.register(flags)
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return errUsage
	}
	client, err := p.operator(config, o, 0)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Get(context.Background(), "/api/explain", url.Values{"path": {flags.Arg(0)}})
	if err != nil {
		return err
	}
	if *asJSON {
		var out bytes.Buffer
		if err := json.Indent(&out, answer, "", "  "); err != nil {
			return fmt.Errorf("reading the explanation: %w", err)
		}
		fmt.Fprintln(p.Stdout, out.String())
		return nil
	}
	return writeExplanation(p.Stdout, answer)
}

// writeExplanation prints the sentence first, and below it all that is known.
func writeExplanation(out io.Writer, answer []byte) error {
	var all map[string]any
	if err := json.Unmarshal(answer, &all); err != nil {
		return fmt.Errorf("reading the explanation: %w", err)
	}
	next, _ := all["next"].(map[string]any)
	status := "200 or 404"
	if n, _ := next["status"].(float64); n != 0 {
		status = fmt.Sprint(n)
	}
	from := fmt.Sprint(next["tier"])
	if detail, _ := next["detail"].(string); detail != "" {
		from += ", marked " + detail
	}
	fmt.Fprintf(out, "%s: %s, from %s\n%s.\n\n", operator.Printable(fmt.Sprint(all["path"])), status, from, operator.Printable(fmt.Sprint(next["sentence"])))
	delete(all, "next")
	delete(all, "path")
	if known, ok := all["cache"].(map[string]any); ok {
		delete(known, "next")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	writeFacts(w, "", all)
	return w.Flush()
}

// writeFacts prints members by name, with what is nested below its own name.
func writeFacts(w io.Writer, prefix string, facts map[string]any) {
	for _, name := range sortedKeys(facts) {
		switch v := facts[name].(type) {
		case map[string]any:
			writeFacts(w, prefix+name+".", v)
		case []any:
			var texts []string
			for _, item := range v {
				texts = append(texts, operator.Printable(fmt.Sprint(item)))
			}
			fmt.Fprintf(w, "%s\t%s\n", prefix+name, strings.Join(texts, ", "))
		case nil:
		default:
			fmt.Fprintf(w, "%s\t%s\n", strings.TrimPrefix(prefix+name, "cache."), operator.Printable(fmt.Sprint(v)))
		}
	}
}

func sortedKeys(facts map[string]any) (names []string) {
	for name := range facts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
