# bash completion for stitchctl: the program itself says what may follow (from its method table, and names from the daemon).
_stitchctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} IFS=$'\n'
	# KEY=@FILE and --option=VALUE are split at = and @ by COMP_WORDBREAKS: only whole words are completed here
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion-words "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null | sort -u)" -- "$cur"))
}
complete -o default -F _stitchctl stitchctl
