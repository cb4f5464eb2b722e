//! `jobmon generate systemd`: a service and a timer for a job, and timers for `jobmon flush` and `jobmon clear`.

use super::BadValue;

/// What may differ between two jobs.
#[derive(Clone, Debug)]
pub struct SystemdOptions {
    /// Name of the job and, after `jobmon-`, of its units.
    pub name: String,
    /// The absolute path of jobmon.
    pub jobmon: String,
    /// Further arguments of `jobmon run`, without secrets: labels, limits.
    pub arguments: Vec<String>,
    /// Arguments that say which gateways there are and how they are spoken to, without secrets: for everything that
    /// jobmon does there.
    pub gateways: Vec<String>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether systemd starts the command, and jobmon when it has ended; else jobmon starts it.
    pub record: bool,
    /// When to start it (systemd.time(7)), each on a line of its own; none for a service that always runs and speaks
    /// sd_notify.
    pub on_calendar: Vec<String>,
    /// What is to be known of these times.
    pub calendar_comment: Option<&'static str>,
    /// Who runs it; none for root.
    pub user: Option<String>,
    /// Secrets for jobmon: the name that it looks for (`jobmon-basic-auth-password`, `jobmon-bearer-token`) and the
    /// file that holds it.
    pub credentials: Vec<(String, String)>,
    /// The state directory, where it is not the one that systemd makes.
    pub state_dir: Option<String>,
    /// The directory of textfiles, which the chores have to write to.
    pub textfile_dir: Option<String>,
    /// Whether this host also clears groups that have outlived their `--ttl`. One host is enough.
    pub clear: bool,
}

/// One unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name, below `/etc/systemd/system/`.
    pub file_name: String,
    /// Its contents.
    pub text: String,
}

/// All units as one text, each after a line with its path.
pub fn render(options: &SystemdOptions) -> Result<String, BadValue> {
    let units = units(options)?;
    let texts: Vec<String> =
        units.iter().map(|unit| format!("# /etc/systemd/system/{}\n{}", unit.file_name, unit.text)).collect();
    Ok(texts.join("\n"))
}

/// The units, the job's own first.
pub fn units(options: &SystemdOptions) -> Result<Vec<Unit>, BadValue> {
    let site = Site::new(options)?;
    let unit_name = format!("jobmon-{}", escaped_name(&options.name));
    let mut units = vec![Unit { file_name: format!("{unit_name}.service"), text: site.job_service(options)? }];
    if !options.on_calendar.is_empty() {
        let mut when = options.calendar_comment.map_or_else(String::new, |comment| format!("# {comment}\n"));
        for calendar in &options.on_calendar {
            when += &format!("OnCalendar={}\n", plain("calendar", calendar)?);
        }
        when += "# A time that the host slept through is made up for.\nPersistent=true\nAccuracySec=1s\n";
        units.push(Unit {
            file_name: format!("{unit_name}.timer"),
            text: timer(&format!("Time of {}", site.name), &when),
        });
    }
    let mut chore = |name: &str, description: &str, words: &str, when: &str| {
        let name = format!("jobmon-{name}{}", site.suffix);
        units.push(Unit { file_name: format!("{name}.service"), text: site.chore(description, words)? });
        units.push(Unit { file_name: format!("{name}.timer"), text: timer(description, when) });
        Ok(())
    };
    chore(
        "flush",
        "Send what is still owed to Pushgateways",
        "flush",
        "OnBootSec=1min\nOnUnitInactiveSec=2min\n# Not all hosts in the same second.\nRandomizedDelaySec=30s\n",
    )?;
    if options.clear {
        chore(
            "clear",
            "Delete groups of Pushgateways that have outlived their time",
            "clear --expired",
            "OnCalendar=daily\nPersistent=true\nRandomizedDelaySec=1h\n",
        )?;
    }
    Ok(units)
}

/// What all services of one user have in common.
struct Site<'a> {
    name: String,
    jobmon: String,
    /// The state directory below `/var/lib`; of each user his own, because systemd gives it to him.
    state: String,
    /// Distinguishes the chores of two users.
    suffix: String,
    user: Option<&'a str>,
    gateways: &'a [String],
    credentials: String,
    state_dir: Option<&'a str>,
    writable: String,
}

impl<'a> Site<'a> {
    fn new(options: &'a SystemdOptions) -> Result<Self, BadValue> {
        let user = options.user.as_deref().filter(|user| *user != "root");
        if let Some(user) = user {
            let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if user.is_empty() || !user.chars().all(known) {
                return Err(BadValue { what: "user", value: user.to_owned(), reason: "not a user name" });
            }
        }
        if !options.jobmon.starts_with('/') {
            let value = options.jobmon.clone();
            return Err(BadValue { what: "path of jobmon", value, reason: "systemd wants an absolute path" });
        }
        if options.name.is_empty() {
            return Err(BadValue { what: "job name", value: String::new(), reason: "empty" });
        }
        // systemd.unit(5): "The total length of the unit name including the suffix must not exceed 255 characters."
        if escaped_name(&options.name).len() > 255 - "jobmon-.service".len() {
            let value = options.name.clone();
            return Err(BadValue { what: "job name", value, reason: "too long for the name of a unit" });
        }
        let mut credentials = String::new();
        for (name, file) in &options.credentials {
            let (name, file) = (plain("name of a credential", name)?, plain("file of a credential", file)?);
            credentials += &format!("LoadCredential={}\n", quoted_path(&format!("{name}:{file}")));
        }
        let mut writable = String::new();
        for path in options.state_dir.iter().chain(&options.textfile_dir) {
            writable += &format!("ReadWritePaths={}\n", quoted_path(&format!("-{}", plain("directory", path)?)));
        }
        Ok(Self {
            name: plain("job name", &options.name)?.replace('%', "%%"),
            jobmon: word("path of jobmon", &options.jobmon)?,
            state: user.map_or_else(|| "jobmon".to_owned(), |user| format!("jobmon-{user}")),
            suffix: user.map_or_else(String::new, |user| format!("-{}", escaped_name(user))),
            user,
            gateways: &options.gateways,
            credentials,
            state_dir: options.state_dir.as_deref(),
            writable,
        })
    }

    fn job_service(&self, options: &SystemdOptions) -> Result<String, BadValue> {
        if options.command.is_empty() {
            return Err(BadValue { what: "command", value: String::new(), reason: "empty" });
        }
        if options.record && !options.command[0].starts_with('/') {
            let value = options.command[0].clone();
            return Err(BadValue { what: "command", value, reason: "systemd wants an absolute path" });
        }
        let name = word("job name", &options.name)?;
        let arguments = options.arguments.iter().chain(self.gateways).map(|argument| word("argument", argument));
        let arguments: String =
            arguments.collect::<Result<Vec<_>, _>>()?.iter().map(|word| format!(" {word}")).collect();
        let command = options.command.iter().map(|argument| word("argument of the command", argument));
        let command = command.collect::<Result<Vec<_>, _>>()?.join(" ");
        let jobmon = &self.jobmon;
        let start = if options.record {
            format!("{RECORDED}ExecStart={command}\nExecStopPost=-{jobmon} record --systemd -n {name}{arguments}\n")
        } else {
            format!("{WRAPPED}ExecStart={jobmon} run -n {name}{arguments} -- {command}\n{STOP}")
        };
        let (kind, install) = match options.on_calendar[..] {
            // The job, not jobmon, tells systemd that it is ready.
            [] => ("Type=notify\nNotifyAccess=all\nRestart=on-failure\n", "\n[Install]\nWantedBy=multi-user.target\n"),
            _ => ("Type=oneshot\n", ""),
        };
        Ok(format!(
            "{HEAD}[Unit]\nDescription={name}, monitored by jobmon\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\n{kind}{start}{common}{install}",
            name = self.name,
            common = self.common(),
        ))
    }

    /// A service that runs jobmon itself.
    fn chore(&self, description: &str, subcommand: &str) -> Result<String, BadValue> {
        let mut start = format!("{} {subcommand}", self.jobmon);
        for argument in self.gateways {
            start += &format!(" {}", word("argument", argument)?);
        }
        Ok(format!(
            "{HEAD}[Unit]\nDescription={description}\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\nType=oneshot\nExecStart={start}\nTimeoutStartSec=10min\n{common}\
             NoNewPrivileges=true\nProtectSystem=strict\nPrivateTmp=true\n{writable}",
            common = self.common(),
            writable = self.writable,
        ))
    }

    fn common(&self) -> String {
        let user = self.user.map_or_else(String::new, |user| format!("User={user}\n"));
        let Self { state, credentials, .. } = self;
        if let Some(path) = self.state_dir {
            let variable = quoted_path(&format!("JOBMON_STATE_DIR={path}"));
            return format!("{user}Environment={variable}\n{credentials}");
        }
        format!(
            "{user}StateDirectory={state}\nStateDirectoryMode=0700\nEnvironment=JOBMON_STATE_DIR=%S/{state}\n{credentials}"
        )
    }
}

fn timer(description: &str, when: &str) -> String {
    format!("{HEAD}[Unit]\nDescription={description}\n\n[Timer]\n{when}\n[Install]\nWantedBy=timers.target\n")
}

const HEAD: &str =
    "# Generated by `jobmon generate systemd`. Holds no secrets: LoadCredential= names the files that do.\n";

const WRAPPED: &str = "\
# jobmon starts the command: it sees the run while it goes on, its output (--tail), its locks and retries.
# `jobmon generate systemd --record` generates the other way: systemd starts the command.
";

const RECORDED: &str = "\
# systemd starts the command, and jobmon only when it has ended: it records what systemd knows of the end (exit code,
# signal, time limit, watchdog, memory that ran out) and of its duration and CPU time, and sees nothing before.
# `jobmon generate systemd` without --record generates the other way: jobmon starts the command.
";

const STOP: &str = "\
# On stop the signal goes to jobmon alone, which passes it on once and still pushes the result. What is left after the
# time-out is killed, the whole control group.
KillMode=mixed
TimeoutStopSec=90s
";

/// A value that stands on a line of its own.
fn plain<'a>(what: &'static str, value: &'a str) -> Result<&'a str, BadValue> {
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err(BadValue { what, value: value.to_owned(), reason: "empty, or with a control character" });
    }
    Ok(value)
}

/// One word of a command line (systemd.service(5), "COMMAND LINES"): quoted where needed, with nothing left that
/// systemd would replace.
fn word(what: &'static str, value: &str) -> Result<String, BadValue> {
    if value.contains('\0') {
        return Err(BadValue { what, value: value.to_owned(), reason: "holds a NUL character" });
    }
    let replaced = value.replace('%', "%%").replace('$', "$$");
    let harmless = |c: char| c.is_ascii_alphanumeric() || "%$_-+=:,./@".contains(c);
    if !value.is_empty() && replaced.chars().all(harmless) {
        return Ok(replaced);
    }
    let mut quoted = String::from("\"");
    for c in replaced.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// `LoadCredential=` replaces specifiers and takes quotes.
fn quoted_path(value: &str) -> String {
    let value = value.replace('%', "%%");
    if value.contains([' ', '"', '\\', '\'']) {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value
    }
}

/// A job name as part of a unit's name: what `systemd-escape` would leave alone, and `-`.
fn escaped_name(name: &str) -> String {
    let mut out = String::new();
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' => out.push(char::from(byte)),
            b'.' if index > 0 => out.push('.'),
            b'-' => out.push('-'),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SystemdOptions {
        SystemdOptions {
            name: "backup".to_owned(),
            jobmon: "/usr/bin/jobmon".to_owned(),
            arguments: Vec::new(),
            gateways: vec!["--gateway=https://gw:9091".to_owned(), "--header=X: a b".to_owned()],
            command: vec!["/usr/local/bin/backup".to_owned(), "--to".to_owned(), "a b".to_owned()],
            record: false,
            on_calendar: vec!["*-*-* 02:00".to_owned()],
            calendar_comment: None,
            user: None,
            credentials: vec![("jobmon-bearer-token".to_owned(), "/etc/jobmon/token".to_owned())],
            clear: true,
            state_dir: None,
            textfile_dir: None,
        }
    }

    #[test]
    fn words_reach_the_job_unchanged() {
        let check = |value: &str, expected: &str| assert_eq!(word("argument", value).unwrap(), expected);
        check("plain-1.0/x", "plain-1.0/x");
        check("", "\"\"");
        check("a b", "\"a b\"");
        check("100%", "100%%");
        check("$HOME", "$$HOME");
        check("it's \"x\" \\", "\"it's \\\"x\\\" \\\\\"");
        check("a\nb\u{7}", "\"a\\nb\\x07\"");
        check(";", "\";\"");
    }

    #[test]
    fn each_unit_has_its_name() {
        let names: Vec<String> = units(&options()).unwrap().into_iter().map(|unit| unit.file_name).collect();
        assert_eq!(
            names,
            [
                "jobmon-backup.service",
                "jobmon-backup.timer",
                "jobmon-flush.service",
                "jobmon-flush.timer",
                "jobmon-clear.service",
                "jobmon-clear.timer",
            ]
        );
        let other =
            SystemdOptions { name: "a b/ü".to_owned(), user: Some("www-data".to_owned()), clear: false, ..options() };
        let names: Vec<String> = units(&other).unwrap().into_iter().map(|unit| unit.file_name).collect();
        assert_eq!(names[0], "jobmon-a\\x20b\\x2f\\xc3\\xbc.service");
        assert_eq!(names[2..], ["jobmon-flush-www-data.service", "jobmon-flush-www-data.timer"]);
    }

    #[test]
    fn whatever_speaks_to_gateways_knows_them() {
        let starts = |unit: Unit| unit.text.lines().find_map(|line| line.strip_prefix("ExecStart=").map(str::to_owned));
        let starts: Vec<String> = units(&options()).unwrap().into_iter().filter_map(starts).collect();
        assert_eq!(
            starts,
            [
                "/usr/bin/jobmon run -n backup --gateway=https://gw:9091 \"--header=X: a b\" \
                 -- /usr/local/bin/backup --to \"a b\"",
                "/usr/bin/jobmon flush --gateway=https://gw:9091 \"--header=X: a b\"",
                "/usr/bin/jobmon clear --expired --gateway=https://gw:9091 \"--header=X: a b\"",
            ]
        );
    }

    #[test]
    fn a_command_is_wrapped_or_recorded() {
        let service = |record| units(&SystemdOptions { record, ..options() }).unwrap().swap_remove(0).text;
        let lines = |text: &str| {
            let lines = text.lines().filter(|line| line.starts_with("Exec") || line.starts_with("KillMode"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&service(false)),
            [
                "ExecStart=/usr/bin/jobmon run -n backup --gateway=https://gw:9091 \"--header=X: a b\" \
                 -- /usr/local/bin/backup --to \"a b\"",
                "KillMode=mixed",
            ]
        );
        assert_eq!(
            lines(&service(true)),
            [
                "ExecStart=/usr/local/bin/backup --to \"a b\"",
                "ExecStopPost=-/usr/bin/jobmon record --systemd -n backup --gateway=https://gw:9091 \"--header=X: a b\"",
            ]
        );
    }

    #[test]
    fn bad_values_are_refused() {
        let check = |change: fn(&mut SystemdOptions), expected: &str| {
            let mut options = options();
            change(&mut options);
            assert_eq!(render(&options).unwrap_err().to_string(), expected);
        };
        check(|o| o.command.clear(), "command \"\": empty");
        check(|o| o.jobmon = "jobmon".to_owned(), "path of jobmon \"jobmon\": systemd wants an absolute path");
        check(
            |o| (o.record, o.command[0]) = (true, "backup".to_owned()),
            "command \"backup\": systemd wants an absolute path",
        );
        check(|o| o.user = Some("a b".to_owned()), "user \"a b\": not a user name");
        check(
            |o| o.on_calendar = vec!["daily\nX=y".to_owned()],
            "calendar \"daily\\nX=y\": empty, or with a control character",
        );
        check(
            |o| o.name = "x".repeat(241),
            &format!("job name \"{}\": too long for the name of a unit", "x".repeat(241)),
        );
        check(|o| o.name = "a\nb".to_owned(), "job name \"a\\nb\": empty, or with a control character");
    }
}
