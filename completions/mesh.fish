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
complete -c mesh -n "__fish_mesh_needs_command" -f -a "up" -d 'Start the built-in runtime: API server, control plane, gateway, and proxies beside every pod'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "down" -d 'Stop the built-in runtime; what it stores is kept'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "status" -d 'Show the built-in runtime: its addresses, pods, proxies and traffic'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "apply" -d 'Apply configuration, checked before anything is changed'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "validate" -d 'Check configuration files without applying them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "analyze" -d 'Find what is accepted and does not work'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "proxy" -d 'Run a proxy: a pod\'s sidecar, a gateway, or a gateway from files'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "control-plane" -d 'Run the control plane: watch a cluster, and tell its proxies what is configured'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "version" -d 'Print the version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "completion" -d 'Print a shell\'s completion script'
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
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s n -l namespace -d 'Namespace of objects that name none' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l dry-run -d 'Have the server check everything and change nothing'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l force-conflicts -d 'Take over fields that another manager owns, as kubectl\'s flag does'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand validate" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
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
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s i -l istioNamespace -d 'Namespace of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s r -l revision -d 'Revision of the control plane' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l kubeconfig -d 'Kubeconfig to use [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l data-dir -d 'Directory of the built-in runtime [default: $XDG_STATE_HOME/mesh]' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s L -l list-analyzers -d 'List the analyzers'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s A -l all-namespaces -d 'Show every namespace'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s v -l verbose -d 'Say what is looked at'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l ignore-unknown -d 'Don\'t fail for what can\'t be read'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -l runtime -d 'The built-in runtime, whatever kubeconfigs there are'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand analyze" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s f -l filename -d 'A file, a directory, or - for standard input; may be given several times' -r -F
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
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l status-address -d 'Address that answers /healthz/ready and /stats/prometheus' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l admin-address -d 'Address that answers the same, /config_dump and /quitquitquit' -r
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l local -d 'Take the configuration from the files alone'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s R -l recursive -d 'Read directories with everything below them'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l json-log -d 'Log requests as JSON'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -l router -d 'Be a gateway: listen on the ports that Gateways name'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand proxy" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l kubeconfig -d 'Kubeconfig of the cluster; inside a pod it is not needed' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l context -d 'Context of the kubeconfig' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l xds-address -d 'Address that proxies connect to' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l health-address -d 'Address that answers /ready' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l monitoring-address -d 'Address that answers /metrics' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l ca-dir -d 'Keep the certificate authority in this directory instead of a Secret' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s n -l namespace -d 'Namespace of the control plane, whose objects hold for the whole mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l name -d 'Further name that proxies call the control plane by; may be given several times' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l pod-ip -d 'Address of the pod, which proxies may call it by as well' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l trust-domain -d 'Trust domain of the mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l domain -d 'Domain of the cluster\'s services' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l cluster-id -d 'Name of the cluster, as metrics report it' -r
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l registry-only -d 'Let requests for hosts that the mesh does not know fail'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -l access-log -d 'Have proxies log requests'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand control-plane" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s o -l output -d 'Form of the output' -r -f -a "table\t'An aligned table'
json\t'JSON'
yaml\t'YAML'"
complete -c mesh -n "__fish_mesh_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s h -l help -d 'Print help'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s V -l version -d 'Print version'
