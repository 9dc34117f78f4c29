package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"hearth/internal/config"
)

// width is that of a terminal's line, in columns.
const width = 80

// synopses are the lines that show how a verb is written, one for each verb of a group.
// above are the groups that it is in.
func (v verb) synopses(above ...string) (lines []string) {
	if v.name == "" {
		return []string{"hearth [-config FILE] [VERB] [ARGUMENT...]"}
	}
	if len(v.verbs) > 0 {
		for _, sub := range v.verbs {
			lines = append(lines, sub.synopses(append(slices.Clone(above), v.name)...)...)
		}
		return lines
	}
	words := []string{"hearth"}
	if !v.standalone {
		words = append(words, "[-config FILE]")
	}
	words = append(append(words, above...), v.name)
	for _, o := range v.options(false) {
		words = append(words, o.synopsis())
	}
	if v.arguments != "" {
		words = append(words, v.arguments)
	}
	return []string{strings.Join(words, " ")}
}

// writeSynopses prints them as the beginning of a usage.
func (v verb) writeSynopses(out io.Writer, above []string) {
	before := "usage: "
	for _, line := range v.synopses(above...) {
		for i, part := range wrap(line, width-len(before)) {
			if i > 0 {
				part = "    " + part
			}
			fmt.Fprintf(out, "%s%s\n", before, part)
			before = "       "
		}
	}
}

// writeHelp prints all that the table knows of a verb.
func (v verb) writeHelp(out io.Writer, above []string) {
	v.writeSynopses(out, above)
	fmt.Fprintln(out)
	writeParagraphs(out, v.about)
	if len(v.verbs) > 0 {
		fmt.Fprintln(out)
		writeVerbs(out, v.verbs)
	}
	if options := v.helpOptions(); len(options) > 0 {
		fmt.Fprintln(out)
		writeOptions(out, options)
	}
	if v.name == "" {
		writeTopics(out)
	}
	if len(v.verbs) > 0 {
		fmt.Fprintf(out, "\n%s VERB says more of one.\n", title("hearth help", above, v.name))
	}
	for _, e := range v.examples {
		fmt.Fprintf(out, "\n  $ %s\n", e.line)
		for _, line := range wrap(e.does, width-4) {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
}

// helpOptions are the flags that the help of a verb explains: of a group all that its verbs
// have, of the program its own.
func (v verb) helpOptions() []option {
	all := v.options(v.name == "")
	if v.name == "" {
		return all
	}
	for _, sub := range v.verbs {
		for _, o := range sub.options(false) {
			if !slices.ContainsFunc(all, func(known option) bool { return known.name == o.name }) {
				all = append(all, o)
			}
		}
	}
	return all
}

// writeVerbs prints a line for each verb.
func writeVerbs(out io.Writer, table []verb) {
	widest := 0
	for _, v := range table {
		widest = max(widest, len(v.name))
	}
	for _, v := range table {
		writeRow(out, fmt.Sprintf("  %-*s", widest, v.name), v.summary)
	}
}

// writeOptions prints flags with what they mean.
func writeOptions(out io.Writer, options []option) {
	widest := 0
	for _, o := range options {
		widest = max(widest, len(o.String()))
	}
	for _, o := range options {
		writeRow(out, fmt.Sprintf("  %-*s", widest, o), o.usage)
	}
}

// writeTopics prints what is said beside the verbs.
func writeTopics(out io.Writer) {
	for _, t := range topics() {
		fmt.Fprintf(out, "\n%s\n", t.title)
		for _, line := range wrap(plain(t.about), width) {
			fmt.Fprintln(out, line)
		}
		widest := 0
		for _, r := range t.rows {
			widest = max(widest, len(r.word))
		}
		for _, r := range t.rows {
			writeRow(out, fmt.Sprintf("  %-*s", widest, r.word), r.means)
		}
	}
}

// writeRow prints a name and, beside it, what is said of it.
func writeRow(out io.Writer, name, text string) {
	for _, line := range wrap(plain(text), width-len(name)-2) {
		fmt.Fprintf(out, "%s  %s\n", name, line)
		name = strings.Repeat(" ", len(name))
	}
}

// writeParagraphs prints a text with lines that fit a terminal.
func writeParagraphs(out io.Writer, text string) {
	for i, p := range paragraphs(text) {
		if i > 0 {
			fmt.Fprintln(out)
		}
		for _, line := range wrap(plain(p), width) {
			fmt.Fprintln(out, line)
		}
	}
}

// paragraphs splits a text of the table, each paragraph into one line.
func paragraphs(text string) (all []string) {
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		all = append(all, strings.Join(strings.Fields(p), " "))
	}
	return all
}

// plain is a text without the marks of code.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

// wrap breaks a text between words. A [flag with its VALUE] stays together.
func wrap(text string, columns int) (lines []string) {
	line, open := "", ""
	for word := range strings.FieldsSeq(text) {
		if open != "" {
			word = open + " " + word
		}
		if open = ""; strings.HasPrefix(word, "[") && !strings.Contains(word, "]") {
			open = word
			continue
		}
		if line != "" && len(line)+1+len(word) > columns {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, strings.TrimSpace(line+" "+open))
}

// errUsage are arguments that the program does not know, of which it has told.
var errUsage = errors.New("usage")

// refuse tells what is wrong with the arguments of a verb, and how it is written.
func (p Process) refuse(v verb, above []string, format string, args ...any) error {
	fmt.Fprintf(p.Stderr, "%s: %s\n", title("hearth", above, v.name), fmt.Sprintf(format, args...))
	v.writeSynopses(p.Stderr, above)
	fmt.Fprintf(p.Stderr, "%s says more\n", title("hearth help", above, v.name))
	return errUsage
}

// title is the beginning of a command line up to a verb.
func title(program string, above []string, name string) string {
	return strings.TrimSpace(strings.Join(append(append([]string{program}, above...), name), " "))
}

// unknown says that a verb has no other one of a name below it.
func (v verb) unknown(name string) string {
	text := fmt.Sprintf("there is no verb %q", name)
	if meant := config.Nearest(name, namesOf(v.verbs)); meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return text
}

func helpVerb() verb {
	return verb{
		name: "help", arguments: "[VERB...]", standalone: true,
		summary: "explain a verb, or list all of them",
		about: `
Prints how a verb is written, what it does and its flags; without one, the list of all
verbs. ` + "`hearth VERB -h`" + ` prints the same to standard error.`,
		examples: []example{{"hearth help feed install", "how the change feed is installed"}},
		begin: func(*flag.FlagSet) run {
			return func(p Process, _ string, args []string) error {
				v, above := program(), []string(nil)
				for _, name := range args {
					sub, found := find(v.verbs, name)
					if !found {
						return p.refuse(v, above, "%s", v.unknown(name))
					}
					v, above = sub, v.below(above)
				}
				v.writeHelp(p.Stdout, above)
				return nil
			}
		},
	}
}

func schemaVerb() verb {
	return verb{
		name: "schema", standalone: true,
		summary: "print the JSON Schema of the configuration, for editors",
		about: `
Prints the JSON Schema of the configuration (draft 7), by which editors complete keys, show
what they mean and mark what is wrong. An editor with taplo, such as the extension Even Better
TOML, uses it if the first line of the configuration is ` + "`#:schema ./config.schema.json`" + `.`,
		examples: []example{{"hearth schema > config.schema.json", "beside the configuration"}},
		begin: func(*flag.FlagSet) run {
			return func(p Process, _ string, _ []string) error {
				_, err := io.WriteString(p.Stdout, p.Schema)
				return err
			}
		},
	}
}

func versionVerb() verb {
	return verb{
		name: "version", standalone: true,
		summary: "print the version",
		about:   "Prints the name of the program and its version, as its bug reports should name it.",
		begin: func(*flag.FlagSet) run {
			return func(p Process, _ string, _ []string) error {
				_, err := fmt.Fprintln(p.Stdout, "hearth", p.Version)
				return err
			}
		},
	}
}
