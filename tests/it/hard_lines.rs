//! Lines of crontabs that are hard to wrap, for every daemon that runs them as they were and wrapped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jobmon::schedules::{Crontab, Daemon, Kind, Layout};

/// Commands that are hard to wrap. `$O` is a file of their own; `@` stands for their number.
pub const HARD: [&str; 54] = [
    "echo plain > $O",
    "echo  'two  blanks'\t'and a\ttab' > $O",
    "echo \"double \\\"quoted\\\" and $((6*7))\" > $O",
    "echo 'it'\\''s' \"it's\" it\\'s > $O",
    "printf '\\%s|' a 'b c' > $O",
    "date +\\%Y > $O",
    "cat > $O%one%two\\%three%",
    "cat > $O%",
    "cat > $O%%",
    "cat > $O%  blanks kept  ",
    "cat > $O%back\\\\slash \\n",
    "wc -c > $O",
    "read line; echo \"<$line>\" > $O%first%second",
    "echo 'a\\\\b' 'c\\\\\\\\d' > $O",
    "printf 'x\\\\%%y' > $O",
    "A=1 B='2 3' env | grep '^[AB]=' | sort > $O",
    "( cd / && pwd ) > $O; pwd >> $O",
    "cd / && pwd > $O",
    "cd /nonexistent && pwd > $O",
    "true | false | cat > $O",
    "false || echo alternative > $O",
    "test -d / && echo guarded > $O",
    "test -d /nonexistent && echo never > $O",
    "[ -d /nonexistent ] || echo 'by || guard' > $O",
    "[ -d / ] || echo never > $O",
    "test -d / && [ -d /etc ] && echo 'two guards' > $O; true",
    "test -d / && [ -d /etc ] && echo 'two guards alone' > $O",
    "[ \"$(echo 1)\" = 1 ] && exit 9",
    "if [ -d / ]; then echo then > $O; else echo else > $O; fi",
    "for i in 1 2 3; do echo $i; done > $O",
    "case x in x) echo x > $O;; *) exit 2;; esac",
    "echo \"$0|$#|$*\" > $O",
    "sh -c 'echo \"$0 $1\" > $2' zero one $O",
    "echo * > /dev/null; echo ~ > $O",
    "echo $HOME $LOGNAME $SHELL $PATH > $O",
    "env | grep -v '^_=' | sort > $O",
    "ulimit -a > $O; umask >> $O",
    "tty > $O; [ -p /dev/stdin ]; echo $? >> $O",
    "echo größe € 日本 > $O",
    "echo unterminated 'quote > $O",
    "echo semicolon @; ; echo x",
    "exit 7 # @",
    "kill -9 $$ # @",
    "kill -TERM $$ # @",
    "(sh -c 'kill -SEGV $$'; echo $?) > $O 2>/dev/null",
    "echo to standard output @",
    "echo to standard error @ >&2",
    "echo both @; echo errors @ >&2; exit 3",
    "printf 'no line feed @'",
    "sleep 0.1 & wait; echo waited > $O",
    "(sleep 0.2; echo late > $O) & true",
    "no-such-program-@",
    "trap 'echo trapped > $O' EXIT; true",
    "echo last # comment @ 'with quote; echo x > /dev/null",
];

/// A crontab of those that `chosen` chooses, each with a recipient and, in `directory`, a file of its own: what is left of the
/// line with number 7 in the set "s" of kind "plain" is the file `s07` and mail to `plain-s07`.
pub fn crontab(directory: &Path, shell: &str, kind: &str, set: &str, chosen: impl Fn(&str) -> bool) -> String {
    let mut text = format!("SHELL={shell}\n");
    for (number, command) in HARD.iter().enumerate().filter(|(_, command)| chosen(command)) {
        let id = format!("{set}{number:02}");
        text += &format!("MAILTO={kind}-{id}\nO={}/{id}\n", directory.display());
        // The number also where the command has no file, so that the log tells which it was.
        text += &format!("* * * * * root {}\n", command.replace('@', &id));
    }
    text
}

/// The files that jobs left, by their names.
pub fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

/// What a job of either kind left, in the words of the plain one.
pub fn in_plain_words(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace("/wrapped/", "/plain/").replace("wrapped-", "plain-")
}

/// What may stand in a field, right or wrong, in one or another daemon.
const FIELDS: [&str; 46] = [
    "*",
    "0",
    "00",
    "07",
    "7",
    "8",
    "12",
    "13",
    "23",
    "24",
    "31",
    "32",
    "59",
    "60",
    "1-5",
    "5-1",
    "00-059",
    "*/5",
    "*/0",
    "*/90",
    "1-5/2,7",
    "5-64/30",
    "1/20",
    "1-",
    "-5",
    "1,",
    ",1",
    "1,,2",
    "*,*",
    "*/1,*/2",
    "*-5",
    "*/1x",
    "5.5",
    "~",
    "0~59",
    "50~10",
    "H",
    "?",
    "L",
    "mon",
    "MON-fri",
    "fri-sun",
    "sunday",
    "jan-dec,FEB",
    "januar",
    "4294967301",
];

/// Whole lines.
const LINES: [&str; 56] = [
    "",
    " ",
    "\t",
    "# comment",
    "  # comment",
    "X=1",
    "X = 1",
    " X=1 ",
    "X=",
    "X=\"\"",
    "X='a b'",
    "X=\"a",
    "X=\"a\"b",
    "X='a' junk",
    "=v",
    "X==y",
    "'X Y'=1",
    "X Y=1",
    "export X=1",
    "X=a # b",
    "X",
    "MAILTO=",
    "MAILTO=\"\"",
    "A=*",
    "@daily a",
    "@Daily a",
    "@reboot a",
    "@midnight\ta",
    "@yearly",
    "@every 1m a",
    "@hourly % a",
    "* * * * * a",
    "  * * * * * a",
    "*\t*\t*\t*\t*\ta",
    "*  *  *  *  *  a",
    "* * * * a",
    "* * * * *",
    "* * * * * ",
    "* * * * *  ",
    "* * * * * * a",
    "* * * * * -n a",
    "* * * * * -x a",
    "* * * * * -",
    "* * * * * %a",
    "* * * * * a%b%c",
    "* * * * * a\\",
    "* * * * * a # b",
    "-* * * * * a",
    "- * * * * a",
    "* * * * *a",
    "a",
    "1",
    "* * * * * =",
    "* * * * * X=1",
    "0 0 31 2 1 a",
    "0 0 30 2 * a",
];

/// Lines to be asked of a daemon's own check: every field in every place, pairs of fields, and whole lines.
pub fn questions() -> Vec<String> {
    let mut lines: Vec<String> = LINES.iter().map(|line| (*line).to_owned()).collect();
    for (place, field) in (0..5).flat_map(|place| FIELDS.map(|field| (place, field))) {
        let mut fields = ["1"; 5];
        fields[place] = field;
        lines.push(format!("{} a", fields.join(" ")));
        // Others of the line that may hide it, or be hidden by it.
        fields[(place + 2) % 5] = FIELDS[(place * 7 + lines.len() * 13) % FIELDS.len()];
        lines.push(format!("{}\ta", fields.join("\t")));
    }
    for length in [997, 998, 999, 5000] {
        lines.push(format!("* * * * * {}", "x".repeat(length)));
        lines.push(format!("X={}", "x".repeat(length)));
    }
    lines
}

/// Writes each line into a file of its own, named by its number.
pub fn write_questions(directory: &Path) {
    for (number, line) in questions().iter().enumerate() {
        fs::write(directory.join(format!("{number:03}")), format!("{line}\n")).unwrap();
    }
}

/// The names of the files that the daemon's own check accepted are those that jobmon's parser accepts.
#[track_caller]
pub fn assert_agrees(daemon: Daemon, accepted: &str) {
    let accepted: BTreeSet<&str> = accepted.lines().collect();
    let questions = questions();
    let is_good = |line: &String| {
        let crontab = Crontab::parse(format!("{line}\n").into_bytes(), daemon, Layout::User);
        !crontab.lines.iter().any(|line| matches!(line.kind, Kind::Bad(_)))
    };
    let differ = questions
        .iter()
        .enumerate()
        .filter(|(number, line)| is_good(line) != accepted.contains(format!("{number:03}").as_str()));
    let differ: Vec<String> = differ.map(|(_, line)| format!("{line:?}: jobmon takes it: {}", is_good(line))).collect();
    assert!(differ.is_empty(), "{daemon}, {} of {}:\n{}", differ.len(), questions.len(), differ.join("\n"));
    let good = questions.iter().filter(|line| is_good(line)).count();
    assert!(good > 100 && good < questions.len() - 100, "{good} are good");
}
