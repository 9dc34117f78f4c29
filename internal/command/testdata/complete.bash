# complete.bash SCRIPT LINE… prints what bash offers at the end of each LINE, with a line ==
# behind it: it calls the function as it does itself, with LINE split into words.
source "$1"
shift
function=$(complete -p hearth | sed 's/.*-F \([^ ]*\).*/\1/')
for line; do
	COMP_LINE=$line COMP_POINT=${#line}
	[[ $line == *" " ]] && line+="''"
	eval "COMP_WORDS=(${line//=/ = })"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	$function hearth "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" ==
done
