# Completion of rightsize for bash 3.2 and later: eval "$(rightsize completion bash)"
_rightsize_completion() {
    local line kind=
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(rightsize __complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    # Without values, bash completes names of files, which only some words are.
    if [[ $kind == values ]]; then compopt +o default 2>/dev/null; fi
    return 0
}
complete -o default -F _rightsize_completion rightsize
