# bash completion for espgatectl, as `espgatectl completion bash` prints it.
_espgatectl() {
  local word program=${COMP_WORDS[0]/#\~/$HOME}
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    COMPREPLY+=("$word")
  done < <("$program" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _espgatectl espgatectl
