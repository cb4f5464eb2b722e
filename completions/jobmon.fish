# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jobmon_global_optspecs
    string join \n config= v/verbose h/help V/version
end

function __fish_jobmon_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jobmon_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jobmon_using_subcommand
    set -l cmd (__fish_jobmon_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jobmon -n "__fish_jobmon_needs_command" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_needs_command" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_needs_command" -s V -l version -d 'Print version'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "status" -d 'Show the last result of every group and what is still to be delivered'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "history" -d 'Show past runs, newest first'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "logs" -d 'Print the kept output of the last run of a job'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "push" -d 'Add metrics from a file or standard input to a job\'s group'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "register" -d 'Write down what is expected of a job before it has ever run'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "unregister" -d 'Remove a job: its expectations, its state and its groups at the gateways'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "flush" -d 'Deliver what gateways are still owed'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "list" -d 'List the groups that gateways hold'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "clear" -d 'Delete groups from gateways'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "doctor" -d 'Check the whole chain and say what to do next'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "config" -d 'Print the effective configuration and where each value comes from'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "record" -d 'Record a run that jobmon did not start'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "cron" -d 'Find the jobs of crontabs, put jobmon in front of them, and take it away again'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "generate" -d 'Print files for Prometheus, Grafana, Alertmanager, nginx and systemd'
complete -c jobmon -n "__fish_jobmon_needs_command" -f -a "run" -d 'Run a command unchanged and report how it ended'
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -s n -l name -d 'Only groups whose label "script_name" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -s j -l job -d 'Only groups whose label "job" is JOB' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -l instance -d 'Only groups whose label "instance" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -s l -l label -d 'Only groups with this label, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -l format -d 'Output format' -r -f -a "table\t'A table for people'
json\t'One JSON document'"
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -s n -l name -d 'Only groups whose label "script_name" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -s j -l job -d 'Only groups whose label "job" is JOB' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l instance -d 'Only groups whose label "instance" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -s l -l label -d 'Only groups with this label, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l result -d 'Only runs with this result' -r -f -a "success\t''
warning\t''
failure\t''
timeout\t''
lost\t''
skipped\t''"
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l since -d 'Only runs that ended within this time' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l limit -d 'At most N runs; 0: all' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l format -d 'Output format' -r -f -a "table\t'A table for people'
json\t'One JSON document'
csv\t'Comma-separated values with a header line; what a spreadsheet would take for a formula has an apostrophe before it'"
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -l output -d 'Show the kept output and the attempts of each run'
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand logs" -l nth -d 'Take the Nth last run instead of the last' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand logs" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand logs" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand logs" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l ci -d 'Take name, labels and URL of the run from the CI system [env: JOBMON_CI]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -l replace -d 'Drop all metrics that were pushed for the job before'
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l max-duration -d 'Alert when a run takes longer than this [env: JOBMON_MAX_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l min-duration -d 'Alert when a successful run takes less time than this [env: JOBMON_MIN_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l tolerate -d 'Alert only after more than N failures in a row [env: JOBMON_TOLERATE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l expect-every -d 'The job should succeed at least this often [env: JOBMON_EXPECT_EVERY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l grace -d 'How late a due run may be before it counts as missed [env: JOBMON_GRACE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l schedule -d 'When the job is due, as in a crontab [env: JOBMON_SCHEDULE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l timezone -d 'Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host\'s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand register" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand unregister" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l loop -d 'Stay, and do it again at this interval' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l forget -d 'Give up what is pending at this gateway or directory, and do nothing else' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand flush" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s j -l job -d 'Groups whose label "job" is JOB' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s n -l name -d 'Groups whose label "script_name" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l instance -d 'Groups whose label "instance" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s l -l label -d 'Groups with this label, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l older-than -d 'Groups whose last push is longer ago than this' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l sort -d 'What to sort by' -r -f -a "labels\t'The grouping key'
age\t'The last push, oldest first'
size\t'The number of samples, largest first'
result\t'The last result, failures first'"
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l format -d 'Output format' -r -f -a "table\t'A table for people'
json\t'One JSON document'
csv\t'Comma-separated values with a header line; what a spreadsheet would take for a formula has an apostrophe before it'"
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l max-samples -d 'Warn about a gateway that holds more samples than this' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l failed -d 'Groups whose last run did not succeed, or whose last push was refused'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l ghost -d 'Groups that were never pushed successfully: left behind by a refused push'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l expired -d 'Groups whose time to live (script_ttl_seconds) is over'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -l poisoned -d 'Groups that disable the gateway for everybody'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s j -l job -d 'Groups whose label "job" is JOB' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s n -l name -d 'Groups whose label "script_name" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l instance -d 'Groups whose label "instance" is NAME' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s l -l label -d 'Groups with this label, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l older-than -d 'Groups whose last push is longer ago than this' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l failed -d 'Groups whose last run did not succeed, or whose last push was refused'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l ghost -d 'Groups that were never pushed successfully: left behind by a refused push'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l expired -d 'Groups whose time to live (script_ttl_seconds) is over'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l poisoned -d 'Groups that disable the gateway for everybody'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l all -d 'Every group of the gateway'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l dry-run -d 'Print what would be deleted and delete nothing'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s y -l yes -d 'Do not ask, also on a terminal'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -l require-match -d 'Exit with 1 when nothing matches'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand clear" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l prometheus -d 'Prometheus that should be scraping the gateways' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l format -d 'Output format' -r -f -a "text\t'Words for people, at most 80 columns wide'
json\t'One JSON document'"
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -l fix -d 'Fix what can be fixed, and check again'
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l format -d 'Output format' -r -f -a "table\t'A table for people'
json\t'One JSON document'"
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l ci -d 'Take name, labels and URL of the run from the CI system [env: JOBMON_CI]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l no-push -d 'Keep the result in the registry and send nothing [env: JOBMON_NO_PUSH]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l textfile-dir -d 'Write the group to a file for node_exporter\'s textfile collector [env: JOBMON_TEXTFILE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l heartbeat -d 'Report every so often that the job still runs [env: JOBMON_HEARTBEAT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l clear-after -l ttl -d 'Let "clear --expired" delete the group after this long without a push [env: JOBMON_TTL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l push-retry -d 'Keep trying to deliver the result until --push-timeout is over [env: JOBMON_PUSH_RETRY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l ephemeral -d 'Delete the group when the run has succeeded, keep it when it has not [env: JOBMON_EPHEMERAL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l job-metrics -d 'Give the job a file for metrics of its own [env: JOBMON_JOB_METRICS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l max-duration -d 'Alert when a run takes longer than this [env: JOBMON_MAX_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l min-duration -d 'Alert when a successful run takes less time than this [env: JOBMON_MIN_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l tolerate -d 'Alert only after more than N failures in a row [env: JOBMON_TOLERATE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l expect-every -d 'The job should succeed at least this often [env: JOBMON_EXPECT_EVERY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l grace -d 'How late a due run may be before it counts as missed [env: JOBMON_GRACE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l schedule -d 'When the job is due, as in a crontab [env: JOBMON_SCHEDULE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l timezone -d 'Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host\'s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l timeout -d 'End the job and everything it started after this time [env: JOBMON_TIMEOUT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l signal -d 'Signal that --timeout sends first [env: JOBMON_SIGNAL] [default: TERM]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l kill-after -d 'Send KILL when the job still lives this long after that [env: JOBMON_KILL_AFTER] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l lock -d 'Do not start while another run holds the lock [env: JOBMON_LOCK]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l lock-wait -d 'Wait this long for the lock before the run is skipped [env: JOBMON_LOCK_WAIT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l lock-exit-code -d 'Exit code of a skipped run [env: JOBMON_LOCK_EXIT_CODE] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l retries -d 'Run the command up to N times more when it fails [env: JOBMON_RETRIES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l retry-delay -d 'Wait between attempts; doubles each time, up to an hour [env: JOBMON_RETRY_DELAY] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l splay -d 'Delay the start by a part of this time [env: JOBMON_SPLAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l success-codes -d 'Exit codes that count as success [env: JOBMON_SUCCESS_CODES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l warning-codes -d 'Exit codes that count as a warning [env: JOBMON_WARNING_CODES]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l tail -d 'Keep the last BYTES of the output in the history [env: JOBMON_TAIL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l quiet -d 'Pass the output on only if the run was not a success [env: JOBMON_QUIET]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l exit-code -d 'Exit code of the run' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l duration -d 'How long it ran; it ended now' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l ci -d 'Take name, labels and URL of the run from the CI system [env: JOBMON_CI]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l max-duration -d 'Alert when a run takes longer than this [env: JOBMON_MAX_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l min-duration -d 'Alert when a successful run takes less time than this [env: JOBMON_MIN_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l tolerate -d 'Alert only after more than N failures in a row [env: JOBMON_TOLERATE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l expect-every -d 'The job should succeed at least this often [env: JOBMON_EXPECT_EVERY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l grace -d 'How late a due run may be before it counts as missed [env: JOBMON_GRACE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l schedule -d 'When the job is due, as in a crontab [env: JOBMON_SCHEDULE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l timezone -d 'Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host\'s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l success-codes -d 'Exit codes that count as success [env: JOBMON_SUCCESS_CODES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l warning-codes -d 'Exit codes that count as a warning [env: JOBMON_WARNING_CODES]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -l systemd -d 'Take the facts from systemd, in ExecStopPost= of a service'
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand record" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -f -a "scan" -d 'List every job that this host starts by itself: who watches it, and whether it will run at all'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -f -a "wrap" -d 'Put jobmon in front of the jobs of crontabs'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -f -a "unwrap" -d 'Remove jobmon from the lines that "jobmon cron wrap" wrapped'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -f -a "restore" -d 'Put back what crontabs were before jobmon changed them'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and not __fish_seen_subcommand_from scan wrap unwrap restore run-parts" -f -a "run-parts" -d 'Run the scripts of a directory as run-parts does, each as a job of its own'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l daemon -d 'Program that reads the crontabs [default: the one of this host]' -r -f -a "debian\t'Debian\'s and Ubuntu\'s cron'
cronie\t'cronie, the cron of Fedora, RHEL, Arch and openSUSE'
systemd-cron\t'systemd-cron'
busybox\t'crond of busybox, the cron of Alpine'
supercronic\t'supercronic, a cron for containers'"
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l format -d 'Output format' -r -f -a "table\t'A table for people'
json\t'One JSON document'"
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l check -d 'Show only jobs that will not run, and exit with 1 if there are any'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -l system -d 'Read a user in each line of the files, as in /etc/crontab'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from scan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l user -d 'Crontab of this user, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l daemon -d 'Program that reads the crontabs [default: the one of this host]' -r -f -a "debian\t'Debian\'s and Ubuntu\'s cron'
cronie\t'cronie, the cron of Fedora, RHEL, Arch and openSUSE'
systemd-cron\t'systemd-cron'
busybox\t'crond of busybox, the cron of Alpine'
supercronic\t'supercronic, a cron for containers'"
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l only -d 'Only the job with this name, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l skip -d 'Not the job with this name, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l systemd -d 'Record each run of this systemd service instead, through a drop-in for its unit; repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l jobmon -d 'Path of jobmon in the lines [default: this program\'s]' -r -F
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l all -d 'All crontabs: /etc/crontab, /etc/cron.d and those of the users (of other users for root only)'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l system -d 'Read a user in each line, as in /etc/crontab'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l apply -d 'Make the changes'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l fallback -d 'Write lines that also work where jobmon is not installed'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -l keep-lines -d 'Leave the lines of jobs as they are: make jobmon-sh their shell, and name each job in lines above it'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from wrap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l user -d 'Crontab of this user, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l daemon -d 'Program that reads the crontabs [default: the one of this host]' -r -f -a "debian\t'Debian\'s and Ubuntu\'s cron'
cronie\t'cronie, the cron of Fedora, RHEL, Arch and openSUSE'
systemd-cron\t'systemd-cron'
busybox\t'crond of busybox, the cron of Alpine'
supercronic\t'supercronic, a cron for containers'"
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l only -d 'Only the job with this name, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l skip -d 'Not the job with this name, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l systemd -d 'Remove the drop-in of this service of systemd instead; repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l all -d 'All crontabs: /etc/crontab, /etc/cron.d and those of the users (of other users for root only)'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l system -d 'Read a user in each line, as in /etc/crontab'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l apply -d 'Make the changes'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -l check -d 'Print the crontabs that have wrapped lines, and exit with 1 if there are any'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from unwrap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -l user -d 'Crontab of this user, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -l apply -d 'Make the changes'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from run-parts" -s a -l arg -d 'Argument for each script, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from run-parts" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from run-parts" -l report -d 'Print the name of each script that prints something'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from run-parts" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand cron; and __fish_seen_subcommand_from run-parts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "rules" -d 'Alerting and recording rules for every job'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "dashboard" -d 'A Grafana dashboard'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "scrape-config" -d 'The scrape configuration for the gateways'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "alertmanager" -d 'Routes and receivers for Alertmanager'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "nginx" -d 'An nginx site with TLS and basic authentication in front of a gateway'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "systemd" -d 'A systemd service and timer for a job, and timers for flush and clear'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "recipe" -d 'The plain shell or Python equivalent, for machines that cannot have jobmon'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "man" -d 'The manual pages'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and not __fish_seen_subcommand_from rules dashboard scrape-config alertmanager nginx systemd recipe man completions" -f -a "completions" -d 'The completion script of a shell'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -s j -l job -d 'Watch only groups whose label "job" has this value, repeatable [default: every job]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l runbook-url -d 'Address put into every alert; {alert} in it becomes the alert\'s name' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l default-max-duration -d 'Limit for a run of a job that has no --max-duration; "off": none' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l consecutive-failures -d 'Consecutive failures that are critical' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l stale-after -d 'How long a group without limits of its own may go without a push' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l longest-wait -d 'Let no alert wait longer than this before it fires' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l critical-severity -d 'Severity label of what somebody has to look at now' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l warning-severity -d 'Severity label of what somebody has to look at during the day' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l info-severity -d 'Severity label of what is worth knowing' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l legacy-names -d 'Keep the names ScriptFailure and ScriptLongRunning of the well-known recipe, corrected'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -l per-job -d 'Add an alert for every job that this host\'s registry knows, which fires while no gateway holds it'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from dashboard" -l title -d 'Title of the dashboard' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from dashboard" -s j -l job -d 'Value of the label "job" that is selected at first [default: all]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from dashboard" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from dashboard" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from dashboard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l interval -d 'Time between two scrapes, and between two evaluations of the rules' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l rule-file -d 'File with rules for Prometheus to read, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l alertmanager -d 'Alertmanager that alerts are sent to, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l remote-write -d 'Add a block that sends the samples on to this address, repeatable' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from scrape-config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l webhook -d 'Address that gets every alert' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l mail-to -d 'Who gets a mail about what is critical' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l mail-from -d 'Sender of these mails' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l smarthost -d 'Mail server' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l mail-user -d 'User at the mail server' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l mail-password-file -d 'File with the password of that user, on the machine of Alertmanager' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l group-wait -d 'How long to wait for more alerts of a kind before the first notification' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l group-interval -d 'How long to wait before a notification about a change' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l critical-severity -d 'Severity label of what somebody has to look at now' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l warning-severity -d 'Severity label of what somebody has to look at during the day' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l info-severity -d 'Severity label of what is worth knowing' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from alertmanager" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l server-name -d 'Name of the server' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l listen -d 'Where it listens' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l allow -d 'Address or network that may connect, repeatable [default: this machine alone]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l upstream -d 'The gateway behind it, spoken to without TLS' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l certificate -d 'File of the certificate with its chain (PEM)' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l certificate-key -d 'File of the certificate\'s private key (PEM)' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l user-file -d 'File of users and password hashes, as htpasswd(1) writes it' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from nginx" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l ci -d 'Take name, labels and URL of the run from the CI system [env: JOBMON_CI]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l no-push -d 'Keep the result in the registry and send nothing [env: JOBMON_NO_PUSH]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l textfile-dir -d 'Write the group to a file for node_exporter\'s textfile collector [env: JOBMON_TEXTFILE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l heartbeat -d 'Report every so often that the job still runs [env: JOBMON_HEARTBEAT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l clear-after -l ttl -d 'Let "clear --expired" delete the group after this long without a push [env: JOBMON_TTL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l push-retry -d 'Keep trying to deliver the result until --push-timeout is over [env: JOBMON_PUSH_RETRY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l ephemeral -d 'Delete the group when the run has succeeded, keep it when it has not [env: JOBMON_EPHEMERAL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l job-metrics -d 'Give the job a file for metrics of its own [env: JOBMON_JOB_METRICS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l max-duration -d 'Alert when a run takes longer than this [env: JOBMON_MAX_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l min-duration -d 'Alert when a successful run takes less time than this [env: JOBMON_MIN_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l tolerate -d 'Alert only after more than N failures in a row [env: JOBMON_TOLERATE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l expect-every -d 'The job should succeed at least this often [env: JOBMON_EXPECT_EVERY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l grace -d 'How late a due run may be before it counts as missed [env: JOBMON_GRACE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l schedule -d 'When the job is due, as in a crontab [env: JOBMON_SCHEDULE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l timezone -d 'Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host\'s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l timeout -d 'End the job and everything it started after this time [env: JOBMON_TIMEOUT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l signal -d 'Signal that --timeout sends first [env: JOBMON_SIGNAL] [default: TERM]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l kill-after -d 'Send KILL when the job still lives this long after that [env: JOBMON_KILL_AFTER] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l lock -d 'Do not start while another run holds the lock [env: JOBMON_LOCK]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l lock-wait -d 'Wait this long for the lock before the run is skipped [env: JOBMON_LOCK_WAIT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l lock-exit-code -d 'Exit code of a skipped run [env: JOBMON_LOCK_EXIT_CODE] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l retries -d 'Run the command up to N times more when it fails [env: JOBMON_RETRIES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l retry-delay -d 'Wait between attempts; doubles each time, up to an hour [env: JOBMON_RETRY_DELAY] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l splay -d 'Delay the start by a part of this time [env: JOBMON_SPLAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l success-codes -d 'Exit codes that count as success [env: JOBMON_SUCCESS_CODES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l warning-codes -d 'Exit codes that count as a warning [env: JOBMON_WARNING_CODES]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l tail -d 'Keep the last BYTES of the output in the history [env: JOBMON_TAIL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l quiet -d 'Pass the output on only if the run was not a success [env: JOBMON_QUIET]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l shell -d 'Run STRING with /bin/sh -c, for lines with pipes and redirections' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l on-calendar -d 'When the timer starts the job, as in systemd.time(7) [default: as --schedule says, or daily]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l user -d 'User to run the job as' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l jobmon -d 'Path of jobmon on that machine' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l record -d 'Leave the command unwrapped: systemd starts it, and "jobmon record" when it has ended'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -l clear -d 'Add a timer for "jobmon clear --expired"; one host is enough'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from systemd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from recipe" -l language -d 'Language of the recipe' -r -f -a "shell\t'POSIX shell with curl'
python\t'Python with its standard library'"
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from recipe" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from recipe" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from recipe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from man" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from man" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from completions" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from completions" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s j -l job -d 'Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s n -l name -d 'Value of the label "script_name" [env: JOBMON_NAME]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l instance -d 'Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l scope -d 'Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s l -l label -d 'Another label of the group, repeatable [env: JOBMON_LABELS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l ci -d 'Take name, labels and URL of the run from the CI system [env: JOBMON_CI]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s g -l gateway -d 'Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l basic-auth-user -d 'User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l basic-auth-password-file -d 'File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l bearer-token-file -d 'File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l header -d 'Header to send with every request, repeatable [env: JOBMON_HEADERS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l ca-file -d 'Trust the certificates in FILE besides the system\'s (PEM) [env: JOBMON_CA_FILE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l client-cert -d 'Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l client-key -d 'Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l insecure -d 'Accept any certificate of a gateway [env: JOBMON_INSECURE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l spread -d 'Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l push-timeout -d 'Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l remote-write -d 'Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l no-push -d 'Keep the result in the registry and send nothing [env: JOBMON_NO_PUSH]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l textfile-dir -d 'Write the group to a file for node_exporter\'s textfile collector [env: JOBMON_TEXTFILE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l heartbeat -d 'Report every so often that the job still runs [env: JOBMON_HEARTBEAT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l clear-after -l ttl -d 'Let "clear --expired" delete the group after this long without a push [env: JOBMON_TTL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l push-retry -d 'Keep trying to deliver the result until --push-timeout is over [env: JOBMON_PUSH_RETRY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l ephemeral -d 'Delete the group when the run has succeeded, keep it when it has not [env: JOBMON_EPHEMERAL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l job-metrics -d 'Give the job a file for metrics of its own [env: JOBMON_JOB_METRICS]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l max-duration -d 'Alert when a run takes longer than this [env: JOBMON_MAX_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l min-duration -d 'Alert when a successful run takes less time than this [env: JOBMON_MIN_DURATION]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l tolerate -d 'Alert only after more than N failures in a row [env: JOBMON_TOLERATE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l expect-every -d 'The job should succeed at least this often [env: JOBMON_EXPECT_EVERY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l grace -d 'How late a due run may be before it counts as missed [env: JOBMON_GRACE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l schedule -d 'When the job is due, as in a crontab [env: JOBMON_SCHEDULE]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l timezone -d 'Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host\'s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l timeout -d 'End the job and everything it started after this time [env: JOBMON_TIMEOUT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l signal -d 'Signal that --timeout sends first [env: JOBMON_SIGNAL] [default: TERM]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l kill-after -d 'Send KILL when the job still lives this long after that [env: JOBMON_KILL_AFTER] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l lock -d 'Do not start while another run holds the lock [env: JOBMON_LOCK]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l lock-wait -d 'Wait this long for the lock before the run is skipped [env: JOBMON_LOCK_WAIT]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l lock-exit-code -d 'Exit code of a skipped run [env: JOBMON_LOCK_EXIT_CODE] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l retries -d 'Run the command up to N times more when it fails [env: JOBMON_RETRIES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l retry-delay -d 'Wait between attempts; doubles each time, up to an hour [env: JOBMON_RETRY_DELAY] [default: 10s]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l splay -d 'Delay the start by a part of this time [env: JOBMON_SPLAY]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l success-codes -d 'Exit codes that count as success [env: JOBMON_SUCCESS_CODES] [default: 0]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l warning-codes -d 'Exit codes that count as a warning [env: JOBMON_WARNING_CODES]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l tail -d 'Keep the last BYTES of the output in the history [env: JOBMON_TAIL]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l quiet -d 'Pass the output on only if the run was not a success [env: JOBMON_QUIET]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l state-dir -d 'Directory of the registry [env: JOBMON_STATE_DIR]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l shell -d 'Run STRING with /bin/sh -c, for lines with pipes and redirections' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -l config -d 'Read FILE after the system\'s and the user\'s configuration [env: JOBMON_CONFIG]' -r
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s v -l verbose -d 'Say more on standard error; twice: everything [env: JOBMON_VERBOSE]'
complete -c jobmon -n "__fish_jobmon_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
