package command

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// shells are those whose completion can be printed.
var shells = map[string]func(io.Writer, []spot){"bash": writeBash, "fish": writeFish, "zsh": writeZsh}

func completionVerb() verb {
	return verb{
		name: "completion", arguments: "SHELL", words: []string{"bash", "fish", "zsh"}, standalone: true,
		summary: "print what completes verbs, flags and files in a shell",
		about: `
Prints the completion of hearth for a shell.

For bash, have it read at the start of each shell: ` + "`hearth completion bash`" + ` goes into
/etc/bash_completion.d/hearth, or ` + "`source <(hearth completion bash)`" + ` into ~/.bashrc. For zsh it
is a file named _hearth in a directory of $fpath, for fish
~/.config/fish/completions/hearth.fish.`,
		examples: []example{
			{"source <(hearth completion bash)", "in this shell, at once"},
			{"hearth completion fish > ~/.config/fish/completions/hearth.fish", "in each fish from now on"},
		},
		begin: func(*flag.FlagSet) run {
			return func(p Process, _ string, args []string) error {
				write := shells[args[0]]
				if write == nil {
					return p.refuse(completionVerb(), nil, "there is none for the shell %q; name bash, fish or zsh", args[0])
				}
				write(p.Stdout, spots())
				return nil
			}
		},
	}
}

// spot is a place in a command line: behind a verb, or behind none.
type spot struct {
	path    string   // the verbs so far, each with a blank in front: " feed install"
	words   []choice // verbs, and arguments of a closed set
	options []option
	files   bool // arguments are files
}

// choice is a word that may stand somewhere, and what it means.
type choice struct{ word, means string }

// spots are all places of a command line, in the order of the table.
func spots() (all []spot) {
	var visit func(v verb, path string)
	visit = func(v verb, path string) {
		s := spot{path: path, options: v.options(true), files: strings.Contains(v.arguments, "FILE")}
		for _, word := range v.words {
			s.words = append(s.words, choice{word: word})
		}
		for _, sub := range v.verbs {
			s.words = append(s.words, choice{sub.name, sub.summary})
		}
		all = append(all, s)
		for _, sub := range v.verbs {
			visit(sub, path+" "+sub.name)
		}
	}
	visit(program(), "")
	// What help explains are verbs, too.
	for _, s := range slices.Clone(all) {
		if helped := " help" + s.path; len(s.words) > 0 && !strings.HasPrefix(s.path, " help") && s.path != " completion" {
			all = slices.DeleteFunc(all, func(known spot) bool { return known.path == helped })
			all = append(all, spot{path: helped, words: s.words})
		}
	}
	return all
}

// pathsOf lists the places behind a verb, as patterns of a shell's case.
func pathsOf(all []spot) string {
	var quoted []string
	for _, s := range all {
		if s.path != "" {
			quoted = append(quoted, `"`+s.path+`"`)
		}
	}
	return strings.Join(quoted, " | ")
}

// valued lists flags that take a value, with the words that this may be: none for files,
// and nil for what nobody can guess.
func valued(all []spot) (flags map[string][]string, names []string) {
	flags = map[string][]string{}
	for _, s := range all {
		for _, o := range s.options {
			switch {
			case o.value == "":
				continue
			case o.value == "FILE" || o.value == "DIR":
				flags[o.name] = []string{}
			default:
				flags[o.name] = o.words
			}
			if !slices.Contains(names, o.name) {
				names = append(names, o.name)
			}
		}
	}
	slices.Sort(names)
	return flags, names
}

// writeWalk prints the loop that finds the place of the cursor, in the words that bash and
// zsh have in common.
func writeWalk(out io.Writer, all []spot, words, first, cursor string) {
	_, names := valued(all)
	var values []string
	for _, name := range names {
		values = append(values, `*" -`+name+`" | *" --`+name+`"`)
	}
	fmt.Fprintf(out, `	local at="" i
	for ((i = %s; i < %s; i++)); do
		case "$at ${%s[i]}" in
		%s)
			at="$at ${%s[i]}" ;;
		%s)
			((i++)) ;;
		esac
	done
`, first, cursor, words, pathsOf(all), words, strings.Join(values, " | "))
}

// writeBash prints the completion of bash, which needs no other package.
func writeBash(out io.Writer, all []spot) {
	fmt.Fprint(out, `# bash completion of hearth, printed by: hearth completion bash
_hearth() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words="" files=""
	COMPREPLY=()
	# -config=FILE comes as three words.
	if [[ $cur == "=" ]]; then
		cur=""
	elif [[ $prev == "=" ]] && ((COMP_CWORD > 1)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
`)
	writeWalk(out, all, "COMP_WORDS", "1", "COMP_CWORD")
	fmt.Fprint(out, "	case \"$prev\" in\n")
	flags, names := valued(all)
	for _, name := range names {
		action := `words="` + strings.Join(flags[name], " ") + `"`
		if flags[name] != nil && len(flags[name]) == 0 {
			action = "files=yes"
		}
		fmt.Fprintf(out, "	-%s | --%s) %s ;;\n", name, name, action)
	}
	fmt.Fprint(out, "	*)\n		case \"$at\" in\n")
	for _, s := range all {
		var flags, words []string
		for _, o := range s.options {
			flags = append(flags, "-"+o.name)
		}
		for _, c := range s.words {
			words = append(words, c.word)
		}
		files := ""
		if s.files {
			files = "; files=yes"
		}
		fmt.Fprintf(out, "		\"%s\") if [[ $cur == -* ]]; then words=\"%s\"; else words=\"%s\"%s; fi ;;\n", s.path, strings.Join(flags, " "), strings.Join(words, " "), files)
	}
	fmt.Fprint(out, `		esac
		;;
	esac
	if [[ $files ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
}
complete -F _hearth hearth
`)
}

// writeZsh prints the completion of zsh: a file of $fpath that may be sourced, too.
func writeZsh(out io.Writer, all []spot) {
	fmt.Fprint(out, `#compdef hearth
# zsh completion of hearth, printed by: hearth completion zsh
_hearth() {
	local -a flags items
`)
	writeWalk(out, all, "words", "2", "CURRENT")
	fmt.Fprint(out, "	case \"${words[CURRENT-1]}\" in\n")
	values, names := valued(all)
	for _, name := range names {
		action := "_message value"
		switch {
		case len(values[name]) > 0:
			action = "compadd -- " + strings.Join(values[name], " ")
		case values[name] != nil:
			action = "_files"
		}
		fmt.Fprintf(out, "	-%s | --%s) %s; return ;;\n", name, name, action)
	}
	fmt.Fprint(out, "	esac\n	case \"$at\" in\n")
	for _, s := range all {
		fmt.Fprintf(out, "	\"%s\")\n		flags=(", s.path)
		for _, o := range s.options {
			fmt.Fprintf(out, "\n			%s", shellQuoted("-"+o.name+":"+plain(o.usage)))
		}
		fmt.Fprint(out, ")\n		items=(")
		for _, c := range s.words {
			fmt.Fprintf(out, "\n			%s", shellQuoted(strings.TrimSuffix(c.word+":"+c.means, ":")))
		}
		fmt.Fprint(out, ")\n")
		if s.files {
			fmt.Fprint(out, "		[[ ${words[CURRENT]} == -* ]] || { _files; return }\n")
		}
		fmt.Fprint(out, "		;;\n")
	}
	fmt.Fprint(out, `	esac
	if [[ ${words[CURRENT]} == -* ]]; then
		_describe -o flag flags
	else
		_describe argument items
	fi
}
if [[ "${funcstack[1]}" == _hearth ]]; then
	_hearth "$@"
else
	compdef _hearth hearth
fi
`)
}

// shellQuoted is a text as one word of a shell.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
