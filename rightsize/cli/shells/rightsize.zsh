#compdef rightsize
# Completion of rightsize for zsh: eval "$(rightsize completion zsh)" after compinit, or this file as _rightsize in $fpath.
_rightsize() {
    local line kind value
    local -a before values shown
    (( CURRENT > 2 )) && before=("${(@Q)words[2,CURRENT-1]}")
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; continue; fi
        value=${line%%$'\t'*}
        values+=("$value")
        shown+=("$value${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
    done < <(rightsize __complete zsh "${before[@]}" "${(Q)PREFIX}" 2>/dev/null)
    if [[ $kind == values ]]; then
        compadd -l -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -d shown -a values
    elif [[ $kind == files ]]; then
        compset -P '--*='
        _files
    fi
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
    _rightsize "$@"
else
    compdef _rightsize rightsize
fi
