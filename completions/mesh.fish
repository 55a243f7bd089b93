# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mesh_global_optspecs
    string join \n h/help V/version
end

function __fish_mesh_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mesh_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mesh_using_subcommand
    set -l cmd (__fish_mesh_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mesh -n "__fish_mesh_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_needs_command" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "validate" -d 'Check configuration files without applying them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "version" -d 'Print the version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "completion" -d 'Print a shell\'s completion script'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s V -l version -d 'Print version'
