use super::*;

/// A list in a form that can be read: words with `·` for blanks and `$` for expansions.
fn show(list: &List) -> String {
    let mut text = String::new();
    for (pipeline, operator) in &list.items {
        if pipeline.is_negated {
            text.push_str("! ");
        }
        let commands: Vec<String> = pipeline.commands.iter().map(show_command).collect();
        text.push_str(&commands.join(" | "));
        text.push_str(match operator {
            None => "",
            Some(Operator::And) => " && ",
            Some(Operator::Or) => " || ",
            Some(Operator::Sequence) => " ; ",
            Some(Operator::Background) => " & ",
        });
    }
    text.trim_end().to_owned()
}

fn show_command(command: &Command) -> String {
    let lists = |lists: &[List]| lists.iter().map(|list| format!("{{{}}}", show(list))).collect::<Vec<_>>().join("");
    match command {
        Command::Simple { assignments, words } => {
            let words = assignments.iter().chain(words);
            words.map(|word| word.text.replace(' ', "·").replace(EXPANSION, "$")).collect::<Vec<_>>().join(" ")
        }
        Command::Compound { conditions, bodies } => format!("?{}:{}", lists(conditions), lists(bodies)),
    }
}

#[test]
fn lines_that_all_shells_read_alike() {
    let check = |line: &str, expected: &str| {
        assert_eq!(parse(line).map(|list| show(&list)).as_deref(), Some(expected), "{line}");
    };
    check("a b  c", "a b c");
    check("a && b || c; d & e", "a && b || c ; d & e");
    check("a | b 2>&1 >/dev/null | c", "a | b | c");
    check("a 'b c' \"d e\"\\ f", "a b·c d·e·f");
    check("A=1 B='2 3' cmd X=4", "A=1 B=2·3 cmd X=4");
    check("A=1", "A=1");
    check("! a && b", "! a && b");
    check("echo a#b # c; d", "echo a#b");
    check("echo \"a $B ${C:-x y} $(d \"e f\") `g`\"", "echo a·$·$·$·$");
    check("echo $((1 + (2)))x", "echo $x");
    check("[ -x /a ] && if [ ! -d /b ]; then /a c; fi", "[ -x /a ] && ?{[ ! -d /b ] ;}:{/a c ;}");
    check("( cd / && run-parts --report /etc/cron.daily )", "?:{cd / && run-parts --report /etc/cron.daily}");
    check("{ a; b; } >x 2>&1; c", "?:{a ; b ;} ; c");
    check("for x in a b; do c $x; done", "?:{c $ ;}");
    check("while read x; do c; done < f", "?{read x ;}:{c ;}");
    check("case $x in a|b) c;; *) d ;; esac", "?:{c}{d}");
    check("[[ -n $x && ( $y < 3 ) ]] && a", "[[ -n $ && ( $ ) ]] && a");
    check("a \\\n b\nc", "a b ; c");
    check("find . -exec rm {} \\;", "find . -exec rm {} ;");
    check("echo $ \"$\" 100%", "echo $ $ 100%");
}

#[test]
fn lines_without_one_reading() {
    let check = |line: &str| assert_eq!(parse(line).map(|list| show(&list)), None, "{line}");
    for line in [
        "",
        "   ",
        "# x",
        "echo 'a",
        "echo \"a",
        "echo `a",
        "echo $(a",
        "a &&",
        "a && ; b",
        "| a",
        "a |",
        "a |& b",
        "cat <<X",
        "a &> b",
        "diff <(a) b",
        "echo $'a'",
        "f() { a; }",
        "function f { a; }",
        "if a; then b",
        "fi",
        "a; }",
        "(a",
        "a)",
        "((a))",
        "[[ a",
        "for x in a; do",
        "case x in a) b",
        "{ a; } b",
        "x=(1 2)",
        "a \\",
        "&& a",
        "select x in a; do b; done",
    ] {
        check(line);
    }
    check(&"(".repeat(10_000));
    check(&"$(".repeat(10_000));
    check(&"${".repeat(10_000));
}

#[test]
fn ranges_are_those_of_the_line() {
    let line = "  test -x /a  && b 'c d' | e  ; f";
    let list = parse(line).unwrap();
    let ranges: Vec<&str> = list.items.iter().map(|(pipeline, _)| &line[pipeline.range.clone()]).collect();
    assert_eq!(ranges, ["test -x /a", "b 'c d' | e", "f"]);
}

#[test]
fn quoting() {
    for (text, expected) in
        [("a/b.c-d", "a/b.c-d"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
    {
        assert_eq!(quote(text), expected);
        let list = parse(&quote(text)).unwrap();
        let Command::Simple { words, .. } = &list.items[0].0.commands[0] else { panic!("{text}") };
        assert_eq!(words[0].literal(), Some(text));
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_read_without_harm(line in "[a-c $(){}|&;<>'\"`\\\\#!=\\[\\]\n]{0,40}") {
        parse(&line);
    }

    /// What is read has its words where they stand.
    #[test]
    fn pipelines_do_not_overlap(line in "(a|b| |&&|\\|\\||;|&|\\(|\\)|'c'|\\|){0,20}") {
        if let Some(list) = parse(&line) {
            for pair in list.items.windows(2) {
                proptest::prop_assert!(pair[0].0.range.end <= pair[1].0.range.start);
            }
        }
    }
}
