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
complete -c mesh -n "__fish_mesh_needs_command" -f -a "install" -d 'Install a mesh into a cluster, or bring one up to date'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "upgrade" -d 'Bring an installed mesh to this version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "uninstall" -d 'Remove a mesh from a cluster'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "verify-install" -d 'Check that what was installed is there, ready, and as it was installed'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "manifest" -d 'Print what an installation consists of, or compare it'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "profile" -d 'List, print and compare the profiles that installations start from'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "tag" -d 'Give revisions names that namespaces can follow'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "label-namespace" -d 'Have the pods of namespaces get sidecars, or none'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "up" -d 'Start the built-in runtime: API server, control plane, gateway, and proxies beside every pod'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "down" -d 'Stop the built-in runtime; what it stores is kept'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "status" -d 'Show the built-in runtime: its addresses, pods, proxies and traffic'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "apply" -d 'Apply configuration, checked before anything is changed'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "delete" -d 'Delete objects, by file or by name'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "get" -d 'Show objects'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "wait" -d 'Wait until objects are ready, gone, or in force'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "proxy-status" -d 'Show how far each proxy is with the configuration'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "ps" -d 'Show how far each proxy is with the configuration'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "proxy-config" -d 'Show what a proxy holds, and where each part of it comes from'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "pc" -d 'Show what a proxy holds, and where each part of it comes from'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "describe" -d 'Show what the mesh makes of a pod or a service'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "des" -d 'Show what the mesh makes of a pod or a service'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "check" -d 'Check a cluster and the mesh in it'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "logs" -d 'Print what pods logged'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "exec" -d 'Run a command in a pod'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "curl" -d 'Send a request from inside a pod, through its proxy'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "dashboard" -d 'Open the pages of what is installed beside a mesh'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "kube-inject" -d 'Write sidecars into files, and print them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "check-inject" -d 'Tell whether a pod gets a sidecar, and what decides'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "validate" -d 'Check configuration files without applying them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "analyze" -d 'Find what is accepted and does not work'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "proxy" -d 'Run a proxy: a pod\'s sidecar, a gateway, or a gateway from files'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "control-plane" -d 'Run the control plane: watch a cluster, and tell its proxies what is configured'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "bug-report" -d 'Write an archive that tells what is wrong'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "version" -d 'Print the version of the program, of the cluster and of what is installed there'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "completion" -d 'Print a shell\'s completion script'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "capture" -d 'Lead the traffic of the pod around this process to its proxy'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "await-proxy" -d 'Wait until the proxy of the pod around this process is ready'
complete -c mesh -n "__fish_mesh_using_subcommand install" -l readiness-timeout -d 'How long each stage may take to be ready' -r
complete -c mesh -n "__fish_mesh_using_subcommand install" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand install" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand install" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand install" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand install" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand install" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand install" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand install" -s y -l skip-confirmation -l yes -d 'Do not ask'
complete -c mesh -n "__fish_mesh_using_subcommand install" -l dry-run -d 'Have the server check everything and change nothing'
complete -c mesh -n "__fish_mesh_using_subcommand install" -l replace-istio -d 'Take over an Istio that mesh did not install'
complete -c mesh -n "__fish_mesh_using_subcommand install" -s v -l verbose -d 'Show every object'
complete -c mesh -n "__fish_mesh_using_subcommand install" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand install" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l readiness-timeout -d 'How long each stage may take to be ready' -r
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s y -l skip-confirmation -l yes -d 'Do not ask'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l dry-run -d 'Have the server check everything and change nothing'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l replace-istio -d 'Take over an Istio that mesh did not install'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s v -l verbose -d 'Show every object'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand upgrade" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l confirm-context -d 'Answer to what --purge asks: the context\'s name' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l purge -d 'Every revision, with the definitions and so with what users wrote'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s y -l skip-confirmation -l yes -d 'Do not ask (--purge asks all the same)'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l dry-run -d 'Show what would go'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand uninstall" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -s r -l revision -d 'The revision' -r
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand verify-install" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and not __fish_seen_subcommand_from generate diff" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and not __fish_seen_subcommand_from generate diff" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and not __fish_seen_subcommand_from generate diff" -f -a "generate" -d 'Print the manifests of an installation'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and not __fish_seen_subcommand_from generate diff" -f -a "diff" -d 'Compare manifests: two files, or what would be installed with the cluster'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s o -l output -d 'Write to a file that is not there yet' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from generate" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and not __fish_seen_subcommand_from list dump diff" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and not __fish_seen_subcommand_from list dump diff" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and not __fish_seen_subcommand_from list dump diff" -f -a "list" -d 'List the profiles'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and not __fish_seen_subcommand_from list dump diff" -f -a "dump" -d 'Print every setting of a profile, with files and settings laid over it'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and not __fish_seen_subcommand_from list dump diff" -f -a "diff" -d 'Compare two profiles; exits with 1 where they differ'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -l config-path -d 'Print only what is below this path' -r
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -l profile -d 'The profile to start from [default: default]' -r
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -s f -l filename -d 'An IstioOperator file, or - for standard input; later ones win' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -s s -l set -d 'One setting; later ones win, and all of them over files' -r
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -s r -l revision -d 'Name of the revision, to install beside another' -r
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from dump" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand profile; and __fish_seen_subcommand_from diff" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "set" -d 'Point a tag to a revision'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "generate" -d 'Print the webhook that a tag is'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "list" -d 'List the tags'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "show" -d 'List the tags'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "remove" -d 'Remove a tag'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and not __fish_seen_subcommand_from set generate list show remove delete" -f -a "delete" -d 'Remove a tag'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -s r -l revision -d 'The revision that it points to' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l auto-inject-namespaces -d 'With the tag `default`: inject namespaces that say nothing'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l overwrite -d 'Where the tag points elsewhere, point it here'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -s y -l skip-confirmation -d 'Taken for the sake of scripts: nothing is asked'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from set" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from generate" -s r -l revision -d 'The revision that it points to' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from generate" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from generate" -l auto-inject-namespaces -d 'With the tag `default`: inject namespaces that say nothing'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from generate" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -l force -l skip-confirmation -d 'Although namespaces follow it'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -l force -l skip-confirmation -d 'Although namespaces follow it'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand tag; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -s l -l selector -d 'Namespaces with these labels' -r
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -s r -l revision -d 'Follow this revision or tag, instead of the default' -r
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l disable -d 'Say that pods get no sidecar'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l remove -d 'Say nothing any more'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l overwrite -d 'Replace a label that says something else'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l restart -d 'Start workloads anew whose pods do not run as they would be started now'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l dry-run -d 'Show what would be done'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand label-namespace" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l ingress-port -d 'Port of the ingress gateway on 127.0.0.1; 0 takes any [default: 8080, or the next free one]' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l api-port -d 'Port of the API server on 127.0.0.1; 0 takes any [default: 6443, or the next free one]' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l data-dir -d 'Directory of the runtime\'s state [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand up" -l demo -d 'Run Bookinfo with a header rule and a 90/10 canary, and send it a little traffic'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l exit -d 'Prove the demo with 250 requests and end with 0, or with 1 if a claim does not hold'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l no-traffic -d 'Send no traffic'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l detach -d 'Return when everything is ready, and leave it running'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand down" -l data-dir -d 'Directory of the runtime\'s state [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand down" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand status" -l data-dir -d 'Directory of the runtime\'s state [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand status" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand status" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s f -l filename -d 'A file, a directory, a URL, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s n -l namespace -d 'Namespace of objects that name none' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l dry-run -d 'Change nothing, and have everything checked by the server, or only here' -r -f -a "none\t'Nobody: objects are applied'
server\t'The server, with its admission'
client\t'This program, without a server'"
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l timeout -d 'How long to wait' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l diff -d 'Show what would change, and change nothing; exits with 1 where something would'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l wait -d 'Wait until workloads are ready and every proxy has the configuration'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l force-conflicts -d 'Take over fields that another manager owns, as kubectl\'s flag does'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s n -l namespace -d 'Namespace of objects that name none' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l timeout -d 'How long to wait' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l ignore-not-found -d 'An object that is not there is no failure'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l no-wait -d 'Do not wait until they are gone'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -s l -l selector -d 'Objects with these labels' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand get" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand get" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand get" -s A -l all-namespaces -d 'Every namespace'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s w -l wide -d 'Every column'
complete -c mesh -n "__fish_mesh_using_subcommand get" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l for -d 'What to wait for' -r
complete -c mesh -n "__fish_mesh_using_subcommand wait" -s n -l namespace -d 'Namespace of the objects' -r
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l timeout -d 'How long to wait' -r
complete -c mesh -n "__fish_mesh_using_subcommand wait" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand wait" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand wait" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s r -l revision -d 'Only proxies of this revision\'s control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l address -d 'Where one control plane\'s monitoring port answers, instead of asking through the API server' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s w -l wide -d 'Show identities and control planes too'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l watch -d 'Show again whenever something changes, until interrupted'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l exit-code -d 'Exit with 1 where a proxy is not in sync'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-status" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s r -l revision -d 'Only proxies of this revision\'s control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l address -d 'Where one control plane\'s monitoring port answers, instead of asking through the API server' -r
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s w -l wide -d 'Show identities and control planes too'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l watch -d 'Show again whenever something changes, until interrupted'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l exit-code -d 'Exit with 1 where a proxy is not in sync'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand ps" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "listener" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "listeners" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "l" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "route" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "routes" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "r" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "cluster" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "clusters" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "c" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "endpoint" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "endpoints" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "ep" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "secret" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "secrets" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "s" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "policy" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "policies" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "p" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "log" -d 'How much the proxy says about itself, and changing it'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "o" -d 'How much the proxy says about itself, and changing it'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "all" -d 'All of it'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "a" -d 'All of it'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listener" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from listeners" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from l" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from route" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from routes" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from r" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from cluster" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from clusters" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from c" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoint" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from endpoints" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from ep" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secret" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from secrets" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from s" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policy" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from policies" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from p" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l level -d 'A level (trace, debug, info, warn, error), or MODULE=LEVEL,…' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s r -l reset -d 'Back to what it said at its start'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from log" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l level -d 'A level (trace, debug, info, warn, error), or MODULE=LEVEL,…' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s r -l reset -d 'Back to what it said at its start'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from o" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from all" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy-config; and __fish_seen_subcommand_from a" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "listener" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "listeners" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "l" -d 'Ways in: addresses, what is taken, and where it goes'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "route" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "routes" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "r" -d 'Rules, in the order in which they are looked at'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "cluster" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "clusters" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "c" -d 'Groups of endpoints, with the policy in force'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "endpoint" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "endpoints" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "ep" -d 'Where requests go, and how those places do'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "secret" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "secrets" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "s" -d 'Certificates, and until when they hold'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "policy" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "policies" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "p" -d 'What the workload demands of its callers: mutual TLS, tokens, authorization'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "log" -d 'How much the proxy says about itself, and changing it'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "o" -d 'How much the proxy says about itself, and changing it'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "all" -d 'All of it'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and not __fish_seen_subcommand_from listener listeners l route routes r cluster clusters c endpoint endpoints ep secret secrets s policy policies p log o all a" -f -a "a" -d 'All of it'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listener" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from listeners" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l type -d 'Those that speak this: HTTP, HTTPS, TCP' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from l" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from route" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from routes" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l name -d 'Those of this name or host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from r" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from cluster" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from clusters" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l fqdn -d 'Those of this host' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l direction -d 'inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l subset -d 'Those of this subset' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l port -d 'Those of this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from c" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoint" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from endpoints" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l address -d 'Those on this address' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l port -d 'Those on this port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l cluster -d 'Those of this cluster' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l status -d 'Those with this status: HEALTHY' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from ep" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secret" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from secrets" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from s" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policy" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from policies" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from p" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l level -d 'A level (trace, debug, info, warn, error), or MODULE=LEVEL,…' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s r -l reset -d 'Back to what it said at its start'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from log" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l level -d 'A level (trace, debug, info, warn, error), or MODULE=LEVEL,…' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s r -l reset -d 'Back to what it said at its start'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from o" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from all" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -s f -l file -d 'What `all -o json` wrote, instead of a proxy; - for standard input' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -l proxy-admin-port -d 'The proxy\'s admin port' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand pc; and __fish_seen_subcommand_from a" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -f -a "pod" -d 'A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -f -a "po" -d 'A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -f -a "service" -d 'A service: NAME, or NAME.NAMESPACE'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and not __fish_seen_subcommand_from pod po service svc" -f -a "svc" -d 'A service: NAME, or NAME.NAMESPACE'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from pod" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from po" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from service" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe; and __fish_seen_subcommand_from svc" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -f -a "pod" -d 'A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -f -a "po" -d 'A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -f -a "service" -d 'A service: NAME, or NAME.NAMESPACE'
complete -c mesh -n "__fish_mesh_using_subcommand des; and not __fish_seen_subcommand_from pod po service svc" -f -a "svc" -d 'A service: NAME, or NAME.NAMESPACE'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from pod" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from po" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from service" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand des; and __fish_seen_subcommand_from svc" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand check" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand check" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand check" -l pre -d 'Only whether a mesh can be installed'
complete -c mesh -n "__fish_mesh_using_subcommand check" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s c -l container -d 'The container' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l tail -d 'How many lines, from the end' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l proxy -d 'The proxy: its access log'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s f -l follow -d 'Go on until interrupted, or until every container has ended'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l previous -d 'Of the run before this one'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand exec" -s c -l container -d 'The container' -r
complete -c mesh -n "__fish_mesh_using_subcommand exec" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand exec" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand exec" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand exec" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand exec" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand exec" -s i -l stdin -d 'Hand over standard input'
complete -c mesh -n "__fish_mesh_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand exec" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand curl" -s c -l container -d 'The container' -r
complete -c mesh -n "__fish_mesh_using_subcommand curl" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand curl" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand curl" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand curl" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand curl" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand curl" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand curl" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -s n -l namespace -d 'Namespace [default: istio-system; of a pod, the context\'s]' -r
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -s p -l port -d 'Port of this machine; 0 takes any [default: that of the pages, or the next free one]' -r
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l address -d 'Address of this machine' -r
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l browser -d 'Whether a browser is opened, where somebody watches' -r -f -a "true\t''
false\t''"
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand dashboard" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -s r -l revision -d 'The revision of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -l image -d 'Image of the proxy' -r
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -s i -l istio-namespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand kube-inject" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -s l -l labels -d 'Labels of a pod that is not there yet' -r
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -s n -l namespace -d 'Namespace' -r
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand check-inject" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s f -l filename -d 'A file, a directory, a URL, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s k -l use-kube -d 'Whether the cluster is looked at [default: if there is one]' -r -f -a "true\t''
false\t''"
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s n -l namespace -d 'Namespace to show' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s S -l suppress -d 'Don\'t show a code for a resource: CODE=RESOURCE, * for anything; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l analyzer -d 'Run this analyzer only; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l failure-threshold -d 'Level from which the command fails: Info, Warning or Error' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l output-threshold -d 'Level from which messages are shown: Info, Warning or Error' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s o -l output -d 'Form of the result' -r -f -a "log\t'A line for each message'
json\t'JSON'
yaml\t'YAML'
sarif\t'SARIF 2.1.0, for code scanners'
junit\t'JUnit\'s XML, for build servers'"
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l color -d 'Whether levels are coloured [default: on a terminal]' -r -f -a "true\t''
false\t''"
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l meshConfigFile -d 'File with the mesh\'s settings, instead of the cluster\'s' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l remote-contexts -d 'Contexts of clusters to look at besides, for what has to be the same in all of them; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l timeout -d 'How long reading a cluster may take' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s i -l istioNamespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s r -l revision -d 'Revision of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s L -l list-analyzers -d 'List the analyzers'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s R -l recursive -d 'Taken for the sake of scripts: directories are read with everything below them anyway'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s A -l all-namespaces -d 'Show every namespace'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s v -l verbose -d 'Say what is looked at'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l ignore-unknown -d 'Don\'t fail for what can\'t be read'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s f -l filename -d 'A file, a directory, a URL, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l labels -d 'Labels of the gateway (with --local)' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s n -l namespace -d 'Namespace of the proxy' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l bind -d 'Address that a gateway listens on' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l workers -d 'Threads that serve requests' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l xds-address -d 'The control plane, as HOST:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l xds-ca -d 'Roots that may vouch for the control plane' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l token-file -d 'Service account token that proves the proxy' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l pod -d 'Name of the pod' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l pod-ip -d 'Address of the pod' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l inbound -d 'Serve connections to this address for the application behind the other, instead of redirected ones' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l outbound -d 'Be the application\'s HTTP proxy on this address, instead of taking redirected connections' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l outbound-token-file -d 'What the application must know to use --outbound' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l status-address -d 'Addresses that answer /healthz/ready and /stats/prometheus' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l application -d 'What the application can be asked on the same addresses, as injection writes it' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l admin-address -d 'Address that answers the same, and /help, which lists what else' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l linger -d 'How long to go on after SIGTERM, before connections are refused [default: 5s for a gateway, else 0s]' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l local -d 'Take the configuration from the files alone'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l watch -d 'Read the files again whenever they change (with --local)'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l http10 -d 'Serve HTTP/1.0 as well'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l json-log -d 'Log requests as JSON'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l router -d 'Be a gateway: listen on the ports that Gateways name'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l kubeconfig -d 'Kubeconfig of the cluster; inside a pod it is not needed' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l xds-address -d 'Address that proxies connect to' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l health-address -d 'Address that answers /ready' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l monitoring-address -d 'Address that answers /metrics' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l webhook-address -d 'Address that answers the API server\'s webhooks' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l ca-dir -d 'Keep the certificate authority in this directory instead of a Secret' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s n -l namespace -d 'Namespace of the control plane, whose objects hold for the whole mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l name -d 'Further name that proxies call the control plane by; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l pod-ip -d 'Address of the pod, which proxies may call it by as well' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l pod-name -d 'Name of the pod; of several control planes that have one, one at a time writes what is written for all' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l trust-domain -d 'Trust domain of the mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l domain -d 'Domain of the cluster\'s services' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l cluster-id -d 'Name of the cluster, as metrics report it' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l revision -d 'Revision of the control plane, whose webhooks are its own' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l discovery-address -d 'Where sidecars find the control plane [default: the Service istiod of its namespace]' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-image -d 'Image of the sidecars' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-pull-policy -d 'When nodes fetch that image' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-resources -d 'What a sidecar asks for and may use, as JSON' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-pull-secret -d 'Secret that fetches that image; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-annotation -d 'An annotation that pods are taken to have which do not say otherwise; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l proxy-config -d 'How proxies are run, as JSON (ProxyConfig)' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l max-cert-ttl -d 'Longest life of a workload\'s certificate; proxies renew it at half of that' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l classic-sidecars -d 'Put sidecars beside the containers of a pod, not before them'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l registry-only -d 'Let requests for hosts that the mesh does not know fail'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l access-log -d 'Have proxies log requests'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -s n -l namespace -d 'Only this namespace, beside istio-system; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l output-file -d 'Where to write it [default: mesh-bug-report-TIME.tar.gz]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l tail -d 'How many lines of each log' -r
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l timeout -d 'How long collecting may take; what is there by then is written' -r
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand bug-report" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand version" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand version" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand version" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand version" -l client -d 'Ask no cluster'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s s -l short -d 'Taken for the sake of scripts: the output is short'
complete -c mesh -n "__fish_mesh_using_subcommand version" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l pod-ip -d 'Address of the pod' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l proxy-id -d 'User and group of the proxy' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l outbound-port -d 'Where connections of the application arrive' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l inbound-port -d 'Where connections to the application arrive' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l inbound-ports -d 'Ports of the application, or *' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l exclude-inbound-ports -d 'Ports of the application that are left alone' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l outbound-ranges -d 'Addresses, or *' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l exclude-outbound-ranges -d 'Addresses that are left alone' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l outbound-ports -d 'Ports that are captured wherever they are, or *' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -l exclude-outbound-ports -d 'Ports that are left alone wherever they are' -r
complete -c mesh -n "__fish_mesh_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand capture" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand await-proxy" -l port -d 'The proxy\'s port that says so' -r
complete -c mesh -n "__fish_mesh_using_subcommand await-proxy" -l timeout -d 'How long to wait, in seconds' -r
complete -c mesh -n "__fish_mesh_using_subcommand await-proxy" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand await-proxy" -s V -l version -d 'Print version'
