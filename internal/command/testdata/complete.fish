# complete.fish SCRIPT LINE… prints what fish offers at the end of each LINE, with a line ==
# behind it.
source $argv[1]
for line in $argv[2..]
    complete -C $line
    echo ==
end
