//! The parts of the manual that no table holds.

/// What jobmon is, after the one line that says it.
pub(super) const OVERVIEW: &str = "\
A job (a line of a crontab, a step of a CI pipeline, a systemd service) is prefixed with \"jobmon run\". It runs as it ran \
before: jobmon changes neither its streams nor its signals nor its exit status. When it has ended, its result is written \
into a registry on this host and pushed to a Prometheus Pushgateway, or to several, or to a file for node_exporter.

The registry is the truth: what could not be delivered is delivered later, by the next run on the same host or by \
\"jobmon flush\", and no run is counted twice or forgotten.

A healthy run prints nothing. What is wrong is one line on standard error, \"jobmon: warning: ...\".";

/// What every metric has in common.
pub(super) const METRICS: &str = "\
What jobmon exports of each job: the name, then its type, its unit and when a job has it. All metrics of a job are one \
group of the Pushgateway, with the labels job (\"script_monitor\"), instance (the host), script_name (the job's name) and \
those of --label. The alerts are those of \"jobmon generate rules\". A run that did not start because of its lock counts in \
script_runs_total alone. A Pushgateway adds push_time_seconds and push_failure_time_seconds to every group.";

/// How configuration works.
pub(super) const CONFIGURATION: &str = "\
Everything has a default. A value is taken from, the stronger last: /etc/jobmon/config.toml, \
$XDG_CONFIG_HOME/jobmon/config.toml, the file of --config; the section [jobs.NAME] of the same files, where NAME is the \
job's name (--name); systemd credentials (secrets only); JOBMON_* variables; flags. So a section beats the top level of \
every file: what is said about one job counts more than what is said about all, wherever each is written.

A stronger value replaces a weaker one. The lists gateways and headers are replaced as a whole; labels are combined name by \
name. A duration is a text with units, such as \"90s\" or \"2h 30m\"; where none is meant, \"off\" takes back a weaker layer's.

An empty value counts as not given: it is what an unset variable of a script leaves (-l branch=\"$BRANCH\"). Of --lock= only \
the key was not given.

What is wrong in a file or a variable never keeps a job from starting: it is one warning with file and line, and the next \
weaker value counts. The same holds for what monitoring alone needs on the command line of \"jobmon run\": gateways, labels, \
heartbeat, schedule and so on. A wrong value of what restrains the job is bad usage there, and nothing is run: --timeout, \
--signal, --kill-after, --lock-wait, --lock-exit-code, --retries, --retry-delay, --splay, --success-codes, --warning-codes, \
--tail, --quiet. So is an option that does not exist. For every other command, what is wrong on the command line is bad usage. \"jobmon \
config\" prints every effective value and where it comes from.

A file looks like this:";

/// A configuration file with every form that a value can have.
pub(super) const EXAMPLE_FILE: &str = r#"gateways = ["https://pushgateway.example.org"]
basic-auth-user = "jobs"
basic-auth-password-file = "/etc/jobmon/password"
push-timeout = "3s"

[labels]
team = "storage"

[jobs.data_backup]
timeout = "2h"
lock = true
success-codes = [0, 24]
schedule = "30 2 * * *"
grace = "15m""#;

/// Variables that are no settings.
pub(super) const ENVIRONMENT: [(&str, &str); 7] = [
    (
        "JOBMON_METRICS_FILE",
        "Set by jobmon for its job where job-metrics is configured: a file that the job may append exposition lines to.",
    ),
    ("STATE_DIRECTORY", "Directory of the registry, where systemd sets it (StateDirectory=)."),
    (
        "CREDENTIALS_DIRECTORY",
        "Directory of systemd credentials; jobmon-basic-auth-password and jobmon-bearer-token are read from it \
         (LoadCredential=).",
    ),
    ("XDG_CONFIG_HOME", "Directory of the user's configuration; default ~/.config."),
    ("XDG_STATE_HOME", "Directory of the user's state; default ~/.local/state."),
    ("HOME", "The home directory; where it is not set, that of the user database."),
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The usual proxies, also in lower case. Loopback addresses are never asked for through a proxy.",
    ),
];

/// What `jobmon run` reads and changes in the environment.
pub(super) const RUN_ENVIRONMENT: [(&str, &str); 3] = [
    ("JOBMON_*", "Every setting; see jobmon(1)."),
    (
        "JOBMON_BASIC_AUTH_PASSWORD, JOBMON_BEARER_TOKEN, JOBMON_HEADERS",
        "Read by jobmon and taken out of the job's environment, like JOBMON_GATEWAY where it holds a password. Everything \
         else reaches the job as it was.",
    ),
    ("LISTEN_PID, WATCHDOG_PID, SYSTEMD_EXEC_PID", "Where they name jobmon's process, they name the job's in the job."),
];

/// Files that jobmon reads and writes.
pub(super) const FILES: [(&str, &str); 4] = [
    ("/etc/jobmon/config.toml", "Configuration for everybody on this host."),
    ("~/.config/jobmon/config.toml", "Configuration of one user ($XDG_CONFIG_HOME)."),
    ("/var/lib/jobmon", "Registry of root: history, state of every group, what is owed to gateways. Mode 0700."),
    ("~/.local/state/jobmon", "Registry of any other user ($XDG_STATE_HOME)."),
];

/// What cannot be the same as without a process in front of the job, and what follows from it.
pub(super) const CAVEATS: [(&str, &str); 21] = [
    (
        "Process ids",
        "The process that the caller started is jobmon, and the job is its child: $PPID in the job is jobmon's, and tools \
         that act on the started process id (renice, prlimit, strace -p, gdb) act on jobmon.",
    ),
    (
        "Leaders",
        "The job is in the process group and the session of jobmon. Where the caller makes the process that it starts a \
         leader, as interactive shells and service managers do, that leader is jobmon.",
    ),
    (
        "SIGSTOP",
        "Stops jobmon and not the job when it is sent to jobmon's process id, because it cannot be caught. Send it to the \
         job or to the process group. A job that stops stops jobmon too, and SIGCONT to jobmon continues both.",
    ),
    (
        "Signals to the process group",
        "A signal that a program sends to the whole process group, or to one process after the other, reaches the job from \
         that program. jobmon sends it on only if its reporter has not got it as well. In the first moments of a run, and \
         when the reporter is stopped, killed or too late, the job may get it twice. A signal from the parent process or \
         process 1 for jobmon alone may reach the job 20 ms later, and one that comes while the reporter cannot run 300 ms \
         later; those that follow are not delayed.",
    ),
    (
        "Core dumps",
        "When a signal ends the job with a core dump, jobmon dies of the same signal but leaves no dump of its own, so the \
         caller sees no core flag in the wait status.",
    ),
    (
        "The reporter",
        "Next to the job, jobmon has a second child, named reporter, and for moments a child of that: ps shows them, and each \
         counts towards limits on processes (pids.max, RLIMIT_NPROC). Where no process is to be had for them, the job runs, \
         and the result waits for the next jobmon. Where there is none for the job either, jobmon says so and becomes the \
         job, without limits, lock and record.",
    ),
    (
        "SIGKILL",
        "When jobmon is killed with SIGKILL, the kernel kills the job too, unless the job runs as another user or has file \
         capabilities. Its own children are not killed. The reporter outlives jobmon and reports the run as lost. Where the \
         reporter is killed too (the whole process group, control group or container), the next jobmon on the host does. \
         When that happens within milliseconds of the start, the run may not have been written down yet.",
    ),
    (
        "Limits on memory",
        "With so little memory that only the job fits (ulimit -v, ulimit -d), the reporter fails: the job does not notice, \
         and the result waits for the next jobmon. A stack of less than 128 KiB (ulimit -s) is too small for jobmon.",
    ),
    (
        "Hang-up of a session",
        "Where jobmon leads the session, the kernel sends SIGHUP to jobmon alone, which sends it on. A job that reads from the \
         terminal may see its end first: a session that was dropped can look like success.",
    ),
    (
        "Parent-death signal",
        "The job is sent SIGKILL when jobmon dies (PR_GET_PDEATHSIG says 9), which its own children do not inherit.",
    ),
    (
        "Standard error",
        "While there is something to deliver that may fail (a gateway or a directory of textfiles), jobmon keeps standard \
         error open, because a message at the end has to arrive: whoever reads from that pipe sees its end when jobmon \
         ends. Standard input, standard output and every other descriptor are closed at the start.",
    ),
    ("--retries", "While another attempt may follow, jobmon keeps all descriptors and the working directory for it."),
    (
        "Length of the command line",
        "The words of jobmon count towards the limit that the kernel sets to arguments and environment.",
    ),
    ("systemd, Type=notify", "The message comes from the job and not from the main process: set NotifyAccess=all."),
    (
        "systemd, KillMode",
        "With the default, control-group, systemd sends SIGTERM to every process in turn. jobmon recognises that, as above. \
         With KillMode=mixed there is nothing to recognise.",
    ),
    (
        "Peak memory",
        "script_max_resident_memory_bytes is never smaller than jobmon was when it started the job, because the kernel \
         counts from the fork on.",
    ),
    (
        "Files for --quiet and --job-metrics",
        "They are made in the state directory before the job starts: a file system that does not answer delays it, and one \
         that is full is seen by a job that writes metrics.",
    ),
    (
        "--tail and --quiet",
        "Where standard output is not a plain file, the job writes into a pipe and not into the terminal or the socket that \
         jobmon has, and may behave differently for that.",
    ),
    (
        "--tail and --quiet under systemd",
        "The pipe is not the socket that $JOURNAL_STREAM names, so a job that talks to the journal itself when it \
         finds it there writes plain lines instead.",
    ),
    (
        "--tail and a file",
        "Of a plain file the end of what was added during the run is kept, whoever added it: where other processes write to \
         the same file, their lines are among it.",
    ),
    (
        "A registry that is new",
        "A job whose registry was lost, or that runs in a container without one, counts on from what its gateway remembers, \
         which is asked for before the first result is sent: within half of --push-timeout, and up to 16 MB. Where nobody \
         answers, the counters start anew. Runs of one group that end at the same moment in several new registries may be \
         counted too few times.",
    ),
];
