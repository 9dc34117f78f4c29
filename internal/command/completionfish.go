package command

import (
	"fmt"
	"io"
	"strings"
)

// writeFish prints the completion of fish.
func writeFish(out io.Writer, all []spot) {
	values, names := valued(all)
	var skipped []string
	for _, name := range names {
		skipped = append(skipped, "-"+name, "--"+name)
	}
	var paths []string
	for _, s := range all {
		if s.path != "" {
			paths = append(paths, fishQuoted(s.path))
		}
	}
	fmt.Fprintf(out, `# fish completion of hearth, printed by: hearth completion fish
function __hearth_at -d 'tells whether the cursor stands behind these verbs'
    set -l at ''
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word %s
            set value yes
        else if contains -- "$at $word" %s
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c hearth -f
`, strings.Join(skipped, " "), strings.Join(paths, " "))
	for _, s := range all {
		at := fmt.Sprintf("complete -c hearth -n %s", fishQuoted("__hearth_at "+fishQuoted(s.path)))
		for _, c := range s.words {
			fmt.Fprintf(out, "%s -a %s%s\n", at, c.word, fishMeans(c.means))
		}
		if s.files {
			fmt.Fprintf(out, "%s -F\n", at)
		}
		for _, o := range s.options {
			value := ""
			switch words := values[o.name]; {
			case o.value == "":
			case len(words) > 0:
				value = " -x -a " + fishQuoted(strings.Join(words, " "))
			case words != nil:
				value = " -r -F"
			default:
				value = " -x"
			}
			fmt.Fprintf(out, "%s -o %s%s%s\n", at, o.name, value, fishMeans(plain(o.usage)))
		}
	}
}

func fishMeans(text string) string {
	if text == "" {
		return ""
	}
	return " -d " + fishQuoted(text)
}

// fishQuoted is a text as one word of fish.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
