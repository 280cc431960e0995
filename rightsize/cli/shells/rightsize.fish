# Completion of rightsize for fish: rightsize completion fish | source
function __rightsize_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l typed (commandline -ct)
    set -l word (string unescape -- "$typed"; or echo "$typed")
    set -l lines (rightsize __complete fish $before "$word" 2>/dev/null)
    set -l kind $lines[1]
    set -e lines[1]
    if test "$kind" = files
        __fish_complete_path "$typed"
    else if set -q lines[1]
        printf '%s\n' $lines
    end
end
complete -c rightsize -f -a '(__rightsize_complete)'
