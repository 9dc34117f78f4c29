package command

import (
	"flag"
	"io"
	"slices"
	"strings"
)

// verb is a row of the table of verbs: one thing that the program does, or a group of such
// things. All that is told of verbs is made from the table: usage, the manual page,
// completions and docs/cli.md.
type verb struct {
	name string
	// arguments stand behind the flags, as the usage has them: "PATH", "[SHELL]",
	// "RESOURCE...". They say how many there may be.
	arguments string
	words     []string // what the arguments may be, where that is a closed set
	summary   string   // at most 64 characters: what it does, as an order, without a full stop
	about     string   // paragraphs with blank lines between them; `code` stands in backquotes
	examples  []example
	// standalone verbs read no configuration, and take no -config.
	standalone bool
	// begin registers the flags and returns what runs the verb once they are read. A flag's
	// usage has the name of its value in backquotes, as package flag wants it: FILE and DIR
	// are completed, so are words with bars between; "ACCOUNT..." may be given again.
	begin func(flags *flag.FlagSet) run
	verbs []verb // of a group, which has no begin
}

// run does what a verb is for. An error is printed; what a verb was asked for goes to
// Stdout.
type run func(p Process, config string, args []string) error

// example is a line of a shell and what it does.
type example struct{ line, does string }

// verbs is the table, in the order of the usage.
func verbs() []verb {
	return []verb{
		serveVerb(), initVerb(), checkVerb(), reloadVerb(), probeVerb(), explainVerb(), topVerb(), doctorVerb(), feedVerb(),
		helpVerb(), completionVerb(), schemaVerb(), versionVerb(),
	}
}

// program is what the verbs belong to: the one without a name.
func program() verb {
	return verb{
		about: `
Hearth answers hot JSON reads over HTTP from its own memory, and keeps that memory coherent
with Redis and with the database behind it. Without a verb it serves.`,
		verbs: verbs(),
	}
}

// below lists the groups that what is below a verb is in.
func (v verb) below(above []string) []string {
	if v.name == "" {
		return nil
	}
	return append(slices.Clone(above), v.name)
}

// configUsage is that of -config, which stands before the verb or behind it.
const (
	defaultConfig = "config.toml"
	configUsage   = "the configuration, one TOML `FILE`"
)

// flagSet registers the flags of a verb and returns what runs it.
func (v verb) flagSet(config *string) (*flag.FlagSet, run) {
	flags := flag.NewFlagSet(v.name, flag.ContinueOnError)
	// What is wrong with arguments, and the usage, is told in one place for all verbs.
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if !v.standalone {
		flags.StringVar(config, "config", *config, configUsage)
	}
	if v.begin == nil {
		return flags, nil
	}
	return flags, v.begin(flags)
}

// argumentCount returns how many arguments the verb takes; most is -1 where that has no
// bound.
func (v verb) argumentCount() (least, most int) {
	for word := range strings.FieldsSeq(v.arguments) {
		if word[0] != '[' {
			least++
		}
		most++
		if strings.Contains(word, "...") {
			return least, -1
		}
	}
	return least, most
}

// find returns the verb of a name.
func find(table []verb, name string) (verb, bool) {
	i := slices.IndexFunc(table, func(v verb) bool { return v.name == name })
	if i < 0 {
		return verb{}, false
	}
	return table[i], true
}

// namesOf lists the verbs of a table.
func namesOf(table []verb) (names []string) {
	for _, v := range table {
		names = append(names, v.name)
	}
	return names
}

// option is a flag as usage and completions show it.
type option struct {
	name, value string   // "role" and "ACCOUNT"; no value: it is on or off
	words       []string // what value may be, where it is one of some
	again       bool     // may be given more than once
	usage       string   // with its default
}

// options lists the flags of a verb by name, if asked for with -config.
func (v verb) options(withConfig bool) (all []option) {
	config := defaultConfig
	flags, _ := v.flagSet(&config)
	flags.VisitAll(func(f *flag.Flag) {
		if withConfig || f.Name != "config" {
			all = append(all, optionOf(f))
		}
	})
	return all
}

func optionOf(f *flag.Flag) option {
	o := option{name: f.Name}
	o.value, o.usage = flag.UnquoteUsage(f)
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return option{name: f.Name, usage: o.usage}
	}
	if name, again := strings.CutSuffix(o.value, "..."); again {
		o.usage, o.value, o.again = strings.Replace(o.usage, o.value, name, 1), name, true
	}
	if strings.Contains(o.value, "|") {
		o.words = strings.Split(o.value, "|")
	}
	if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" {
		o.usage += " (default " + f.DefValue + ")"
	}
	return o
}

// synopsis is the flag as a synopsis has it: [-role ACCOUNT]...
func (o option) synopsis() string {
	text := "[" + o.String() + "]"
	if o.again {
		text += "..."
	}
	return text
}

// String is the flag and the name of its value.
func (o option) String() string { return strings.TrimSpace("-" + o.name + " " + o.value) }
