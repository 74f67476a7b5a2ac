#compdef espgatectl
# zsh completion for espgatectl, as `espgatectl completion zsh` prints it.
_espgatectl() {
  local word description
  local -a candidates
  while IFS=$'\t' read -r word description; do
    candidates+=("${word//:/\\:}:$description")
  done < <("${words[1]/#\~/$HOME}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#candidates} )); then
    _describe 'espgatectl' candidates
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _espgatectl ]]; then
  _espgatectl "$@"
else
  compdef _espgatectl espgatectl
fi
