package command

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"hearth/internal/operator"
)

func explainVerb() verb {
	return verb{
		name: "explain", arguments: "PATH",
		summary: "tell how a running server would answer a GET, and why",
		about: `
Tells how the next GET of a path, such as /user/7, would be answered, and why. It asks the
running server, and changes nothing there: the first line has the status and the tier, the
second the reason, and below is what is known of the record.`,
		examples: []example{
			{"hearth explain /user/7", "whether memory, Redis or the database answers"},
			{"hearth explain -json /user/7", "the same for programs"},
		},
		begin: func(flags *flag.FlagSet) run {
			var o operatorFlags
			o.register(flags)
			asJSON := flags.Bool("json", false, "for programs")
			return func(p Process, path string, args []string) error {
				return p.explain(path, o, args[0], *asJSON)
			}
		},
	}
}

// explain asks the running server about a path.
func (p Process) explain(config string, o operatorFlags, path string, asJSON bool) error {
	client, err := p.operator(config, o, 0)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Get(context.Background(), "/api/explain", url.Values{"path": {path}})
	if err != nil {
		return err
	}
	if asJSON {
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
