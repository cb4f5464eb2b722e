//! What a command is called: the name of the program that does the work.
//!
//! A group is named after its job. A command line begins with many other things: programs that start another one (env,
//! nice, flock, timeout, sudo), interpreters, shells with a whole line, guards and `cd`. They are looked through, because
//! two jobs that are both called "sh" would share a group, and the success of one would hide the failure of the other.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::shell::{self, Command, EXPANSION, List, Operator, Word};

/// How many programs may stand in front of each other.
const DEEPEST: usize = 20;

/// The name of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The word that names it: a path, a name, or the name of a module; never empty.
    pub word: String,
    /// Whether it names the job. A program that runs what it is given (`python3 -c …`, `sh` from standard input) does not.
    pub is_specific: bool,
    /// What follows the word, as far as it is literal: what tells apart two jobs of one program.
    pub arguments: Vec<String>,
}

impl Named {
    fn new(word: &str, arguments: &[String]) -> Self {
        let arguments = arguments.iter().filter(|word| !word.contains(EXPANSION)).cloned().collect();
        Self { word: word.replace(EXPANSION, ""), is_specific: true, arguments }
    }

    fn unspecific(word: &str, arguments: &[String]) -> Self {
        Self { is_specific: false, ..Self::new(word, arguments) }
    }

    /// The name of the job: the [`stem`] of the word.
    pub fn stem(&self) -> &str {
        // A part of a text is a text.
        stem(OsStr::new(&self.word)).to_str().unwrap_or(&self.word)
    }
}

/// Whether two words that name commands name one program. A name without a directory may be found anywhere.
pub fn is_same_program(one: &str, other: &str) -> bool {
    one == other || (base(one) == base(other) && !(one.contains('/') && other.contains('/')))
}

/// The file name of a path without its last extension.
pub fn stem(word: &OsStr) -> &OsStr {
    let path = Path::new(word);
    match path.file_name() {
        Some(name) if DIRECTORIES.iter().any(|directory| name == *directory) => name,
        _ => path.file_stem().unwrap_or(word),
    }
}

/// Directories of jobs: what follows the dot is no extension.
const DIRECTORIES: [&str; 5] = ["cron.hourly", "cron.daily", "cron.weekly", "cron.monthly", "cron.yearly"];

/// The name of a command and its arguments; none where there is no command.
pub fn of_command(words: &[OsString]) -> Option<Named> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    of_words(&words, 0)
}

/// The name of a line for a shell; none where no command is in it.
pub fn of_line(line: &OsStr) -> Option<Named> {
    named_line(&line.to_string_lossy(), 0)
}

fn named_line(line: &str, depth: usize) -> Option<Named> {
    if let Some(list) = shell::parse(line) {
        return of_list(&list, depth);
    }
    // What is not understood is looked at as words.
    let words: Vec<String> =
        line.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'', '(']).to_owned()).collect();
    let first = words.iter().position(|word| !shell::is_assignment(word) && !word.is_empty())?;
    of_words(&words[first..], depth)
}

/// The first command that does work; else the first of all.
fn of_list(list: &List, depth: usize) -> Option<Named> {
    let mut second_best = None;
    for command in commands(list) {
        let named = match command {
            Command::Simple { words, .. } => of_simple(words, depth),
            Command::Compound { conditions, bodies } => bodies
                .iter()
                .chain(conditions)
                .filter_map(|list| if depth < DEEPEST { of_list(list, depth + 1) } else { None })
                .min_by_key(|named| !named.is_specific),
        };
        match named {
            Some(named) if named.is_specific => return Some(named),
            named => second_best = second_best.or(named),
        }
    }
    second_best
}

fn commands(list: &List) -> impl Iterator<Item = &Command> {
    list.items.iter().flat_map(|(pipeline, _)| &pipeline.commands)
}

fn of_simple(words: &[Word], depth: usize) -> Option<Named> {
    let words: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    match words.split_first() {
        Some((first, rest)) if is_preparation(&words) => Some(Named::unspecific(first, rest)),
        _ => of_words(&words, depth),
    }
}

/// What decides whether the job runs, or prepares it, and is not the job.
fn is_preparation(words: &[String]) -> bool {
    let Some(first) = words.first() else { return true };
    match first.as_str() {
        "test" | "[" | "[[" | "cd" | "pushd" | "." | "source" | "export" | "set" | "unset" | "umask" | "ulimit"
        | "sleep" | "true" | "false" | ":" | "exit" | "trap" | "shopt" | "which" | "type" | "hash" | "read"
        | "local" | "return" => true,
        "/usr/bin/test" | "/bin/sleep" | "/usr/bin/sleep" | "/bin/true" | "/usr/bin/true" => true,
        "command" => words.get(1).is_some_and(|word| word == "-v" || word == "-V"),
        _ => false,
    }
}

/// Whether a line begins with a condition under which it does nothing: all of them, and where the command begins.
///
/// That is a row of tests with `&&` after each and a rest that depends on all of them, or a row with `||`. None where
/// anything at the same level would run in spite of them, or could ask for their result.
pub fn guards(line: &str) -> Option<usize> {
    let list = shell::parse(line)?;
    let operator = list.items.first()?.1?;
    if !matches!(operator, Operator::And | Operator::Or) {
        return None;
    }
    let is_test = |pipeline: &shell::Pipeline| match &pipeline.commands[..] {
        [Command::Simple { assignments, words }] => {
            let name = words.first().and_then(Word::literal);
            assignments.is_empty() && matches!(name, Some("test" | "[" | "[[" | "/usr/bin/test"))
        }
        _ => false,
    };
    let count = list.items.iter().take_while(|(pipeline, after)| is_test(pipeline) && *after == Some(operator)).count();
    let command = list.items.get(count)?;
    let (last, others) = list.items[count..].split_last()?;
    if count == 0 || is_test(&command.0) || last.1.is_some() || others.iter().any(|(_, after)| *after != Some(operator))
    {
        return None;
    }
    let start = command.0.range.start;
    // The result of the test is the command's first $?, and its last word $_.
    let rest = &line[start..];
    (!rest.contains("$?") && !rest.contains("${?") && !rest.contains("$_") && !rest.contains("${_")).then_some(start)
}

/// The program that `words` start in the end.
fn of_words(words: &[String], depth: usize) -> Option<Named> {
    let (first, rest) = words.split_first()?;
    // An expansion alone may be anything: an option, a program in front, or nothing. What follows it is more telling.
    if base(first).trim_matches(EXPANSION).is_empty() && !first.is_empty() && depth < DEEPEST {
        return of_words(rest, depth + 1);
    }
    if depth >= DEEPEST {
        return Some(Named::unspecific(first, rest));
    }
    let name = base(first);
    let deeper = |words: &[String]| of_words(words, depth + 1);
    let found = match name {
        "sh" | "bash" | "dash" | "ash" | "ksh" | "ksh93" | "mksh" | "zsh" | "fish" | "rbash" | "jobmon-sh" => {
            return Some(of_shell(first, rest, depth));
        }
        "su" | "runuser" => match after_option(rest, &["-c", "--command"]) {
            Some(line) => named_line(line, depth + 1),
            None => skip(rest, &Options { values: &["-u", "-g", "-G", "-s", "-w"], ..Options::NONE }).and_then(deeper),
        },
        "flock" => {
            let file = skip(
                rest,
                &Options { values: &["-w", "-E", "--timeout", "--wait", "--conflict-exit-code"], ..Options::NONE },
            );
            match file.and_then(|words| words.get(1..)) {
                Some([option, line, ..]) if option == "-c" || option == "--command" => named_line(line, depth + 1),
                other => other.and_then(deeper),
            }
        }
        "cronitor" => match rest {
            [exec, _, command @ ..] if exec == "exec" => deeper(command),
            _ => None,
        },
        "jobmon" | "sentry-cli" | "runitor" => {
            rest.iter().position(|word| word == "--").and_then(|at| deeper(&rest[at + 1..]))
        }
        "busybox" => deeper(rest),
        "make" | "gmake" => None,
        _ => match PREFIXES.iter().find(|prefix| prefix.names.contains(&name)) {
            Some(prefix) => skip(rest, &prefix.options).and_then(deeper),
            None => return Some(of_program(first, rest)),
        },
    };
    // A program in front of nothing is the job itself.
    found.or_else(|| Some(Named::new(first, rest)))
}

/// A shell: its line, or its script.
fn of_shell(shell: &str, words: &[String], depth: usize) -> Named {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(['-', '+']) {
            Some("o" | "O") => _ = words.next(),
            Some(letters) if !letters.starts_with('-') && letters.contains('c') && word.starts_with('-') => {
                let line = words.next().map(String::as_str).unwrap_or_default();
                return named_line(line, depth + 1).unwrap_or_else(|| Named::unspecific(shell, &[]));
            }
            Some(_) => {}
            None => return Named::new(word, words.as_slice()),
        }
    }
    Named::unspecific(shell, &[])
}

/// A program that starts none of its own, or an interpreter with a script.
fn of_program(first: &str, rest: &[String]) -> Named {
    let name = base(first);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let Some(interpreter) = INTERPRETERS.iter().find(|interpreter| interpreter.name == plain) else {
        return Named::new(first, rest);
    };
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        at += 1;
        let after = |at: usize| rest.get(at..).unwrap_or_default();
        if interpreter.code.iter().any(|option| word == option || (option.len() == 2 && word.starts_with(option))) {
            return Named::unspecific(first, after(at));
        }
        if let Some((_, what)) = interpreter.names.iter().find(|(option, _)| word == option) {
            let Some(value) = rest.get(at) else { break };
            let value = if *what == Value::Dotted { value.rsplit('.').next().unwrap_or(value) } else { value };
            return Named::new(value, after(at + 1));
        }
        if interpreter.values.contains(&word.as_str()) {
            at += 1;
        } else if !word.starts_with('-') || word.len() == 1 {
            if word == "-" || base(word).trim_matches(EXPANSION).is_empty() {
                return Named::unspecific(first, after(at));
            }
            let script = if interpreter.is_class { word.rsplit('.').next().unwrap_or(word) } else { word };
            return Named::new(script, after(at));
        }
    }
    Named::unspecific(first, &[])
}

/// Whether a name says where a job's code is, or in which module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Path,
    Dotted,
}

struct Interpreter {
    name: &'static str,
    /// Options whose value is code.
    code: &'static [&'static str],
    /// Options whose value names the job.
    names: &'static [(&'static str, Value)],
    /// Options with a value of their own.
    values: &'static [&'static str],
    /// Its operand is a class and not a file.
    is_class: bool,
}

const fn interpreter(
    name: &'static str,
    code: &'static [&'static str],
    values: &'static [&'static str],
) -> Interpreter {
    Interpreter { name, code, names: &[], values, is_class: false }
}

/// Programs that run a script.
const INTERPRETERS: [Interpreter; 14] = [
    Interpreter { names: &[("-m", Value::Dotted)], ..interpreter("python", &["-c"], &["-W", "-X", "-Q"]) },
    Interpreter { names: &[("-m", Value::Dotted)], ..interpreter("pypy", &["-c"], &["-W", "-X"]) },
    interpreter("perl", &["-e", "-E"], &["-I", "-M"]),
    interpreter("ruby", &["-e"], &["-I", "-r", "-C"]),
    Interpreter {
        names: &[("-f", Value::Path), ("--file", Value::Path)],
        ..interpreter("php", &["-r"], &["-d", "-c", "-z"])
    },
    interpreter("node", &["-e", "-p", "--eval", "--print"], &["-r", "--require", "--import"]),
    interpreter("nodejs", &["-e", "-p", "--eval", "--print"], &["-r", "--require"]),
    Interpreter {
        names: &[("-jar", Value::Path), ("-m", Value::Path)],
        is_class: true,
        ..interpreter("java", &[], &["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-opens"])
    },
    interpreter("Rscript", &["-e"], &[]),
    interpreter("lua", &["-e"], &["-l"]),
    interpreter("tclsh", &[], &["-encoding"]),
    interpreter("expect", &["-c"], &[]),
    interpreter("groovy", &["-e"], &["-cp"]),
    interpreter("run-parts", &[], &["-a", "-u"]),
];

/// How the words of a program in front are told from those of the program that it starts.
struct Options {
    /// Options that are followed by a value.
    values: &'static [&'static str],
    /// How many operands of its own it takes.
    operands: usize,
    /// Whether assignments may stand in front of the command.
    assignments: bool,
}

impl Options {
    const NONE: Self = Self { values: &[], operands: 0, assignments: false };
}

struct Prefix {
    names: &'static [&'static str],
    options: Options,
}

const fn prefix(names: &'static [&'static str], values: &'static [&'static str], operands: usize) -> Prefix {
    Prefix { names, options: Options { values, operands, assignments: false } }
}

const fn with_assignments(prefix: Prefix) -> Prefix {
    Prefix { names: prefix.names, options: Options { assignments: true, ..prefix.options } }
}

/// Programs that start another one.
const PREFIXES: [Prefix; 24] = [
    with_assignments(prefix(&["env"], &["-u", "--unset", "-C", "--chdir"], 0)),
    with_assignments(prefix(
        &["sudo"],
        &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user", "--group"],
        0,
    )),
    prefix(&["doas"], &["-u", "-C"], 0),
    prefix(&["nice"], &["-n", "--adjustment"], 0),
    prefix(&["ionice"], &["-c", "-n", "--class", "--classdata"], 0),
    prefix(&["chrt"], &["-T", "-P", "-D"], 1),
    prefix(&["taskset"], &[], 1),
    prefix(&["timeout", "gtimeout"], &["-s", "-k", "--signal", "--kill-after"], 1),
    prefix(
        &[
            "chronic",
            "cronic",
            "setsid",
            "nohup",
            "unbuffer",
            "nocache",
            "eatmydata",
            "fakeroot",
            "run-one",
            "caffeinate",
        ],
        &[],
        0,
    ),
    prefix(&["command", "builtin", "npx", "dbus-run-session"], &["-p"], 0),
    prefix(&["exec"], &["-a"], 0),
    prefix(&["time"], &["-f", "-o", "--format", "--output"], 0),
    prefix(&["stdbuf"], &["-i", "-o", "-e", "--input", "--output", "--error"], 0),
    prefix(&["systemd-cat"], &["-t", "-p", "--identifier", "--priority"], 0),
    prefix(
        &["systemd-run"],
        &["-p", "-t", "-u", "-E", "-G", "--unit", "--property", "--setenv", "--uid", "--gid", "--slice"],
        0,
    ),
    prefix(&["systemd-inhibit"], &["--what", "--who", "--why", "--mode"], 0),
    prefix(&["setpriv", "unshare", "nsenter", "ip-netns-exec"], &[], 0),
    prefix(&["chpst"], &["-u", "-U", "-b", "-e", "-/", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f", "-c"], 0),
    prefix(&["setuidgid", "envuidgid", "envdir", "chroot", "gosu", "su-exec"], &[], 1),
    prefix(&["choom"], &["-n", "--adjust"], 0),
    prefix(&["numactl"], &["-C", "-N", "-m", "-p"], 0),
    prefix(&["xvfb-run"], &["-n", "-s", "-e", "-f", "-w", "-p", "--server-num", "--server-args"], 0),
    prefix(&["poetry", "pipenv", "uv", "bundle"], &[], 1),
    prefix(&["cpulimit"], &["-l", "-c", "--limit"], 0),
];

/// What follows the options and operands; none if that is nothing.
fn skip<'a>(words: &'a [String], options: &Options) -> Option<&'a [String]> {
    let mut at = 0;
    let mut operands = options.operands;
    while let Some(word) = words.get(at) {
        if word == "--" {
            at += 1;
            at += operands;
            break;
        }
        if options.values.contains(&word.as_str()) {
            at += 2;
        } else if (word.starts_with('-') && word.len() > 1)
            || (options.assignments && shell::is_assignment(word))
            || word == "-"
        {
            at += 1;
        } else if operands > 0 {
            operands -= 1;
            at += 1;
        } else {
            break;
        }
    }
    words.get(at..).filter(|rest| !rest.is_empty())
}

/// The word after one of the options, or its part after `=`.
fn after_option<'a>(words: &'a [String], options: &[&str]) -> Option<&'a str> {
    let at = words.iter().position(|word| options.contains(&word.as_str()))?;
    words.get(at + 1).map(String::as_str)
}

/// The last part of a path; a path that ends with slashes has one too.
fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_after_the_program_that_does_the_work() {
        let check = |line: &str, expected: &str| {
            let named = of_line(OsStr::new(line));
            let shown =
                named.as_ref().map(|named| format!("{}{}", named.stem(), if named.is_specific { "" } else { " ?" }));
            assert_eq!(shown.unwrap_or_default(), expected, "{line}");
        };
        check("/path/to/backup.sh", "backup");
        check("backup.tar.gz x", "backup.tar");
        check("./.hidden", ".hidden");
        check("env -i A=1 -u B /x/a.sh", "a");
        check("A=1 B='x y' nice -n 19 ionice -c3 /x/a", "a");
        check("nice -10 a", "a");
        check("nice", "nice");
        check("sudo -u www-data -- php /srv/artisan schedule:run", "artisan");
        check("sudo -u minecraft /srv/reboot.sh; systemctl reboot -i", "reboot");
        check("timeout -k 5 60s /x/y.py", "y");
        check("flock -n /run/l /x/z", "z");
        check("flock --timeout 10 /var/lock/cron.lock -c \"/root/cron.sh\"", "cron");
        check("chronic nice ionice -c 3 notmuch new", "notmuch");
        check("setsid nohup stdbuf -oL /a/b", "b");
        check("su - backup -c 'cd /x && ./run.sh'", "run");
        check("su -s /bin/sh www-data -c 'php cron.php'", "cron");
        check("runuser -u x -- /a/b", "b");
        check("envdir /etc/wal-e.d/env /usr/local/bin/backup-wale", "backup-wale");
        check("cronitor exec hp3pEO echo x", "echo");
        check("jobmon run -n x -- /a/b.sh", "b");

        check("python3 /a/b.py x", "b");
        check("python3.11 -u -W ignore b.py", "b");
        check("python -m src.openstack_summary >> /var/log/x 2>&1", "openstack_summary");
        check("/usr/local/bin/php -q /etc/rscriptd/debtors.php > /dev/null 2>&1", "debtors");
        check("php -f /a/b.php", "b");
        check("perl -w /a/b.pl", "b");
        check("perl -e 'sleep 1'", "perl ?");
        check("perl -e 'sleep int(rand(43200))' && certbot -q renew", "certbot");
        check("java -Xmx1g -jar /opt/app-1.2.jar", "app-1.2");
        check("java -cp x:y org.example.Main", "Main");
        check("node /a/b.mjs", "b");
        check("python3 -c 'print(1)'", "python3 ?");
        check("python3", "python3 ?");
        check("bundle exec rake x", "rake");

        check("sh -c 'cd /x && test -x y && ./y.sh'", "y");
        check("bash -lc \"/a/b.sh 'c'\"", "b");
        check("bash -o pipefail -c 'a | b'", "a");
        check("bash -eu /a/b.sh", "b");
        check("bash", "bash ?");
        check("sh -c ''", "sh ?");
        check("cd /x && ./y.sh", "y");
        check("[ -x /usr/bin/munin-cron ] && if [ -d /x ]; then /usr/bin/munin-cron; fi", "munin-cron");
        check("if [ -x /a ]; then /a/b --backup >> /x 2>&1; fi", "b");
        check("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron.daily");
        check(
            "test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew",
            "certbot",
        );
        check("cd / && run-parts --report /etc/cron.hourly", "cron.hourly");
        check("command -v php >/dev/null && php /x/y.php", "y");
        check("for i in 1 2; do /a/b $i; done", "b");
        check("/bin/kill -HUP `cat /var/run/x.pid`", "kill");
        check("$VV $VIROVERSE/scripts/worker Align::Needle", "worker");
        check("$(which php) /x/artisan", "artisan");
        check("\"$HOME/bin/x y.sh\"", "x y");
        check("$X", "");
        check("A=1", "");
        check("", "");
        check("echo 'unbalanced", "echo");
        check("sleep 30; /a/b", "b");
        check("cd /a; sleep 30", "cd ?");
        check("if test -x /a; then :; fi", ": ?");
        check("/a/b.sh | gzip > x", "b");
        check(&"nice ".repeat(1000), "nice ?");
    }

    #[test]
    fn programs_of_two_words() {
        let check =
            |one: &str, other: &str, expected| assert_eq!(is_same_program(one, other), expected, "{one} {other}");
        check("/a/backup.sh", "/a/backup.sh", true);
        check("backup.sh", "/a/backup.sh", true);
        check("./backup.sh", "/a/backup.sh", false);
        check("/b/backup.sh", "/a/backup.sh", false);
        check("/a/backup.py", "/a/backup.sh", false);
        check("backup.py", "backup.sh", false);
    }

    #[test]
    fn words_of_a_command_need_no_shell() {
        let check = |words: &[&str], expected: Option<&str>| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(of_command(&words).map(|named| named.stem().to_owned()).as_deref(), expected, "{words:?}");
        };
        check(&["/a/b.sh", "x"], Some("b"));
        check(&["$x"], Some("$x"));
        check(&["sh", "-c", "cd /x && ./y.sh"], Some("y"));
        check(&[""], Some(""));
        check(&[], None);
    }

    #[test]
    fn guards_stand_in_front_of_all_the_rest() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(guards(line).map(|at| &line[at..]), expected, "{line}");
        };
        check("test -x /a && /a b", Some("/a b"));
        check("[ -d /run/systemd/system ] || /a b | c", Some("/a b | c"));
        check("[ -x /a ] && [ -d /b ] && /a b", Some("/a b"));
        check("test -x /a && cd /b && ./c", Some("cd /b && ./c"));
        check("! test -x /a && b", Some("b"));
        check("test -x /a || ( cd / && b )", Some("( cd / && b )"));
        check("[ -x /a ] && if [ ! -d /b ]; then c; fi", Some("if [ ! -d /b ]; then c; fi"));
        check("[ \"$(date +%u)\" = 1 ] && /a", Some("/a"));
        check("[[ -x /a && -d /b ]] && c", Some("c"));
        for line in [
            "/a && b",
            "test -x /a",
            "test -x /a && b || c",
            "test -x /a || b && c",
            "test -x /a && b; c",
            "test -x /a && b &",
            "test -x /a; b",
            "A=1 test -x /a && b",
            "test -x /a | c && b",
            "test -x /a && [ -d /b ]",
            "test -x /a || echo $?",
            "test -x /a && echo 'b",
            "if [ -x /a ]; then b; fi",
        ] {
            check(line, None);
        }
    }
}
