# complete.zsh SCRIPT SETUP LINE… prints what an interactive zsh that has read SCRIPT offers
# at the end of each LINE, with a line == behind it. Only a shell on a terminal completes, so
# it gets one; SETUP is a file to be written, for a terminal takes long lines badly.
zmodload zsh/zpty || exit 9
script=$1 setup=$2
shift 2
cat > $setup <<'IN'
PS1= PS2= RPS1=
autoload -U compinit && compinit -D -u
bindkey '^I' complete-word
edge() { print -r -- EDGE; compprefuncs=(edge) comppostfuncs=(edge) }
edge >/dev/null
compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	local -a hits
	builtin compadd -A hits "$@"
	(( $#hits )) && print -rl -- $hits
}
IN
zpty shell zsh -f -i
zpty -w shell "source ${(q)setup}; source ${(q)script}; print READY"
zpty -r -m shell answer "*READY*"
for line; do
	zpty -n -w shell "$line"$'\t'
	zpty -r -m shell answer "*EDGE*EDGE*"
	print -r -- "$answer" | tr -d '\r' | sed -n '/EDGE/,/EDGE/p' | grep -v EDGE
	print -r -- "=="
	zpty -n -w shell $'\025'
done
exit 0
