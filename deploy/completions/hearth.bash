# bash completion of hearth, printed by: hearth completion bash
_hearth() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words="" files=""
	COMPREPLY=()
	# -config=FILE comes as three words.
	if [[ $cur == "=" ]]; then
		cur=""
	elif [[ $prev == "=" ]] && ((COMP_CWORD > 1)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	local at="" i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at ${COMP_WORDS[i]}" in
		" serve" | " init" | " check" | " reload" | " probe" | " explain" | " top" | " doctor" | " feed" | " feed install" | " feed remove" | " feed status" | " feed flush" | " completion" | " schema" | " version" | " help" | " help feed")
			at="$at ${COMP_WORDS[i]}" ;;
		*" -address" | *" --address" | *" -admin" | *" --admin" | *" -balancer" | *" --balancer" | *" -by" | *" --by" | *" -config" | *" --config" | *" -filter" | *" --filter" | *" -from" | *" --from" | *" -from-file" | *" --from-file" | *" -n" | *" --n" | *" -redis" | *" --redis" | *" -role" | *" --role" | *" -tables" | *" --tables" | *" -timeout" | *" --timeout" | *" -token-file" | *" --token-file")
			((i++)) ;;
		esac
	done
	case "$prev" in
	-address | --address) words="" ;;
	-admin | --admin) words="" ;;
	-balancer | --balancer) files=yes ;;
	-by | --by) words="reads bytes misses loads" ;;
	-config | --config) files=yes ;;
	-filter | --filter) words="" ;;
	-from | --from) words="" ;;
	-from-file | --from-file) files=yes ;;
	-n | --n) words="" ;;
	-redis | --redis) words="" ;;
	-role | --role) words="" ;;
	-tables | --tables) words="" ;;
	-timeout | --timeout) words="" ;;
	-token-file | --token-file) files=yes ;;
	*)
		case "$at" in
		"") if [[ $cur == -* ]]; then words="-config"; else words="serve init check reload probe explain top doctor feed help completion schema version"; fi ;;
		" serve") if [[ $cur == -* ]]; then words="-config"; else words=""; fi ;;
		" init") if [[ $cur == -* ]]; then words="-config -feed -force -from -from-file -print -redis -tables"; else words=""; fi ;;
		" check") if [[ $cur == -* ]]; then words="-config -connect"; else words=""; fi ;;
		" reload") if [[ $cur == -* ]]; then words="-admin -config -token-file"; else words=""; fi ;;
		" probe") if [[ $cur == -* ]]; then words="-address -config -live -ready -timeout"; else words=""; fi ;;
		" explain") if [[ $cur == -* ]]; then words="-admin -config -json -token-file"; else words=""; fi ;;
		" top") if [[ $cur == -* ]]; then words="-1 -admin -by -config -filter -json -n -token-file"; else words=""; fi ;;
		" doctor") if [[ $cur == -* ]]; then words="-admin -all -balancer -config -json -token-file"; else words=""; fi ;;
		" feed") if [[ $cur == -* ]]; then words="-config"; else words="install remove status flush"; fi ;;
		" feed install") if [[ $cur == -* ]]; then words="-apply -config -prune -role"; else words=""; fi ;;
		" feed remove") if [[ $cur == -* ]]; then words="-apply -config"; else words=""; fi ;;
		" feed status") if [[ $cur == -* ]]; then words="-config -json"; else words=""; fi ;;
		" feed flush") if [[ $cur == -* ]]; then words="-config"; else words=""; fi ;;
		" completion") if [[ $cur == -* ]]; then words=""; else words="bash fish zsh"; fi ;;
		" schema") if [[ $cur == -* ]]; then words=""; else words=""; fi ;;
		" version") if [[ $cur == -* ]]; then words=""; else words=""; fi ;;
		" help") if [[ $cur == -* ]]; then words=""; else words="serve init check reload probe explain top doctor feed help completion schema version"; fi ;;
		" help feed") if [[ $cur == -* ]]; then words=""; else words="install remove status flush"; fi ;;
		esac
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
