package command

import "strings"

// each visits the program and all verbs, with the groups that they are in.
func each(v verb, above []string, visit func(v verb, above []string)) {
	visit(v, above)
	for _, sub := range v.verbs {
		each(sub, v.below(above), visit)
	}
}

// VerbNames lists all verbs as arguments write them: "feed status". The first is none.
func VerbNames() (names []string) {
	each(program(), nil, func(v verb, above []string) {
		names = append(names, strings.TrimSpace(title("", above, v.name)))
	})
	return names
}

// VerbNamesOf lists the verbs of a group, "" for the program.
func VerbNamesOf(group string) []string {
	v := program()
	if group != "" {
		v, _ = find(v.verbs, group)
	}
	return namesOf(v.verbs)
}

// CheckTable tells what a verb lacks.
func CheckTable(fault func(format string, args ...any)) {
	each(program(), nil, func(v verb, above []string) {
		name := title("hearth", above, v.name)
		switch {
		case strings.TrimSpace(v.about) == "":
			fault("%s has no text", name)
		case v.name != "" && (v.summary == "" || len(v.summary) > 64 || strings.HasSuffix(v.summary, ".") || v.summary[0] < 'a' || v.summary[0] > 'z'):
			fault("%s has the summary %q", name, v.summary)
		case (v.begin == nil) == (len(v.verbs) == 0):
			fault("%s has to be either a group or to do something", name)
		case v.begin == nil && v.arguments+strings.Join(v.words, "") != "":
			fault("%s is a group and has arguments", name)
		}
		for _, o := range v.options(true) {
			if o.usage == "" || o.name != "config" && !flagName(o.name) {
				fault("%s: the flag -%s says %q", name, o.name, o.usage)
			}
			if o.value != "" && len(o.words) == 0 && strings.ToUpper(o.value) != o.value {
				fault("%s: the value %q of the flag -%s needs a name in capitals", name, o.value, o.name)
			}
		}
		for _, e := range v.examples {
			if !strings.Contains(e.line, title("hearth", above, v.name)) && v.name != "serve" || e.does == "" {
				fault("%s: the example %q shows something else, or does not say what it does", name, e.line)
			}
		}
	})
}

func flagName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Updating tells whether expected files are to be rewritten.
func Updating() bool { return *update }
