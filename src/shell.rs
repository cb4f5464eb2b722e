//! A line of shell, as far as needed to see which commands it has at which level.
//!
//! Follows POSIX.1-2017, chapter 2 of "Shell & Utilities", and the test brackets of ksh, bash and zsh. Nothing is expanded
//! or run. What two shells read in two ways, and what is not complete, has no reading here ([`parse`] returns none): who
//! asks then takes the line as a whole.

use std::ops::Range;

/// How deep compound commands and substitutions may be nested.
const DEEPEST: usize = 50;

/// Pipelines in a row, each with the operator after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The pipelines; of the last there may be no operator.
    pub items: Vec<(Pipeline, Option<Operator>)>,
}

/// What stands between two pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;` or the end of a line.
    Sequence,
    /// `&`
    Background,
}

/// Commands with `|` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where it is in the line, `!` included.
    pub range: Range<usize>,
    /// Whether its status is turned around by `!`.
    pub is_negated: bool,
    /// The commands, one at least.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Assignments, the name of a command and its arguments.
    Simple {
        /// Assignments in front of the command.
        assignments: Vec<Word>,
        /// The command and its arguments; empty where there are only assignments or redirections.
        words: Vec<Word>,
    },
    /// `(…)`, `{…}`, `if`, `for`, `while`, `until`, `case`.
    Compound {
        /// What is asked before anything is done, as in `if`; empty where nothing is asked.
        conditions: Vec<List>,
        /// What is done.
        bodies: Vec<List>,
    },
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is in the line.
    pub range: Range<usize>,
    /// Its text without quotes. Each expansion is a NUL character, which no word can hold.
    pub text: String,
    /// Whether any part of it was quoted, so that it is no reserved word.
    pub is_quoted: bool,
}

/// Stands for an expansion in the text of a word.
pub const EXPANSION: char = '\0';

impl Word {
    /// The text, where nothing in it is expanded.
    pub fn literal(&self) -> Option<&str> {
        (!self.text.contains(EXPANSION)).then_some(self.text.as_str())
    }

    fn is(&self, word: &str) -> bool {
        !self.is_quoted && self.text == word
    }
}

/// Whether `text` assigns a variable, as `NAME=value` does.
pub fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Reads a line; none where it has no reading that all shells agree on.
pub fn parse(line: &str) -> Option<List> {
    let mut parser = Parser { line, at: 0, depth: 0, is_broken: false };
    let list = parser.list(&[])?;
    parser.skip_blanks();
    (parser.at == line.len() && !parser.is_broken).then_some(list)
}

/// `text` as one word for a shell, in single quotes where it needs them.
pub fn quote(text: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(is_harmless) && !text.starts_with('=') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

struct Parser<'a> {
    line: &'a str,
    at: usize,
    depth: usize,
    /// A word was begun that has no end.
    is_broken: bool,
}

/// Words that end a list, where a command could begin.
const CLOSING: [&str; 7] = ["then", "elif", "else", "fi", "do", "done", "esac"];

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.line[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Blanks and comments, but no end of a line.
    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
            self.at += blanks;
            if self.eat("\\\n") {
                continue;
            }
            if self.rest().starts_with('#') {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            }
            return;
        }
    }

    fn skip_lines(&mut self) {
        loop {
            self.skip_blanks();
            if !self.eat("\n") {
                return;
            }
        }
    }

    /// The word that stands here, if it is one of `words`, without taking it.
    fn sees(&self, words: &[&str]) -> bool {
        let end = self.rest().find([' ', '\t', '\n', ';', '&', '|', '(', ')', '<', '>']).unwrap_or(self.rest().len());
        words.contains(&&self.rest()[..end])
    }

    fn keyword(&mut self, word: &str) -> Option<()> {
        self.skip_lines();
        if !self.sees(&[word]) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    /// Pipelines up to one of the words or characters that close a list.
    fn list(&mut self, closing: &[&str]) -> Option<List> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut items = Vec::new();
        loop {
            self.skip_lines();
            if self.peek().is_none_or(|c| c == ')') || self.rest().starts_with(";;") || self.sees(closing) {
                break;
            }
            if self.sees(&CLOSING) || self.sees(&["}"]) {
                return None;
            }
            let pipeline = self.pipeline()?;
            self.skip_blanks();
            let operator = if self.rest().starts_with("&>") || self.rest().starts_with(";;") {
                if self.rest().starts_with("&>") {
                    return None;
                }
                None
            } else if self.eat("&&") {
                Some(Operator::And)
            } else if self.eat("||") {
                Some(Operator::Or)
            } else if self.eat("&") {
                Some(Operator::Background)
            } else if self.eat(";") || self.eat("\n") {
                Some(Operator::Sequence)
            } else {
                None
            };
            items.push((pipeline, operator));
            match operator {
                None => break,
                Some(Operator::And | Operator::Or) => {
                    self.skip_lines();
                    if self.peek().is_none_or(|c| c == ')') {
                        return None;
                    }
                }
                Some(_) => {}
            }
        }
        self.depth -= 1;
        (!items.is_empty()).then_some(List { items })
    }

    fn pipeline(&mut self) -> Option<Pipeline> {
        self.skip_blanks();
        let start = self.at;
        let is_negated = self.sees(&["!"]);
        if is_negated {
            self.at += 1;
        }
        let mut commands = Vec::new();
        loop {
            self.skip_lines();
            commands.push(self.command()?);
            self.skip_blanks();
            if self.rest().starts_with("||") || !self.eat("|") {
                break;
            }
            // bash and zsh pass standard error on with `|&`, and other shells do not know it.
            if self.peek() == Some('&') {
                return None;
            }
        }
        let end = self.line[..self.at].trim_end_matches([' ', '\t']).len();
        Some(Pipeline { range: start..end.max(start), is_negated, commands })
    }

    fn command(&mut self) -> Option<Command> {
        if self.rest().starts_with("((") {
            return None;
        }
        let compound = |conditions, bodies| Command::Compound { conditions, bodies };
        let command = if self.eat("(") {
            let body = self.list(&[])?;
            self.skip_lines();
            self.eat(")").then_some(())?;
            compound(Vec::new(), vec![body])
        } else if self.sees(&["{"]) {
            self.at += 1;
            let body = self.list(&["}"])?;
            self.keyword("}")?;
            compound(Vec::new(), vec![body])
        } else if self.sees(&["if"]) {
            self.at += 2;
            let (mut conditions, mut bodies) = (Vec::new(), Vec::new());
            loop {
                conditions.push(self.list(&["then"])?);
                self.keyword("then")?;
                bodies.push(self.list(&["elif", "else", "fi"])?);
                self.skip_lines();
                if self.sees(&["elif"]) {
                    self.at += 4;
                    continue;
                }
                break;
            }
            if self.sees(&["else"]) {
                self.at += 4;
                bodies.push(self.list(&["fi"])?);
            }
            self.keyword("fi")?;
            compound(conditions, bodies)
        } else if self.sees(&["while", "until"]) {
            self.at += 5;
            let condition = self.list(&["do"])?;
            self.keyword("do")?;
            let body = self.list(&["done"])?;
            self.keyword("done")?;
            compound(vec![condition], vec![body])
        } else if self.sees(&["for"]) {
            self.at += 3;
            self.skip_blanks();
            self.word()?;
            self.skip_lines();
            if self.sees(&["in"]) {
                self.at += 2;
                self.skip_blanks();
                while self.word().is_some() {
                    self.skip_blanks();
                }
            }
            self.skip_blanks();
            _ = self.eat(";");
            self.keyword("do")?;
            let body = self.list(&["done"])?;
            self.keyword("done")?;
            compound(Vec::new(), vec![body])
        } else if self.sees(&["case"]) {
            self.at += 4;
            self.case()?
        } else if self.sees(&["function", "select", "coproc", "repeat", "foreach"]) {
            return None;
        } else {
            return self.simple();
        };
        // Only redirections may follow.
        while self.redirection()? {}
        self.skip_blanks();
        let may_follow = |c: char| ";&|)\n".contains(c);
        self.peek().is_none_or(may_follow).then_some(command)
    }

    fn case(&mut self) -> Option<Command> {
        self.skip_blanks();
        self.word()?;
        self.keyword("in")?;
        let mut bodies = Vec::new();
        loop {
            self.skip_lines();
            if self.sees(&["esac"]) {
                self.at += 4;
                return Some(Command::Compound { conditions: Vec::new(), bodies });
            }
            _ = self.eat("(");
            loop {
                self.skip_blanks();
                self.word()?;
                self.skip_blanks();
                if !self.eat("|") {
                    break;
                }
            }
            self.eat(")").then_some(())?;
            self.skip_lines();
            if !self.rest().starts_with(";;") && !self.sees(&["esac"]) {
                bodies.push(self.list(&["esac"])?);
            }
            self.skip_lines();
            if !self.eat(";;") && !self.sees(&["esac"]) {
                return None;
            }
        }
    }

    fn simple(&mut self) -> Option<Command> {
        let start = self.at;
        let (mut assignments, mut words) = (Vec::new(), Vec::<Word>::new());
        loop {
            self.skip_blanks();
            if self.redirection()? {
                continue;
            }
            // Inside of test brackets these are no operators.
            if words.first().is_some_and(|word| word.is("[[")) && !words.last().is_some_and(|word| word.is("]]")) {
                let operator = ["&&", "||", "(", ")"].iter().find(|operator| self.rest().starts_with(**operator));
                if let Some(operator) = operator {
                    let range = self.at..self.at + operator.len();
                    self.at = range.end;
                    words.push(Word { range, text: (*operator).to_owned(), is_quoted: false });
                    continue;
                }
            }
            let Some(word) = self.word() else { break };
            // `name()` is a function.
            if words.is_empty() && self.peek() == Some('(') {
                return None;
            }
            // A quoted name is none.
            if words.is_empty() && is_assignment(&word.text) && is_assignment(&self.line[word.range.clone()]) {
                // An array of bash, ksh and zsh.
                if self.peek() == Some('(') {
                    return None;
                }
                assignments.push(word);
            } else {
                words.push(word);
            }
        }
        if words.first().is_some_and(|word| word.is("[[")) && !words.last().is_some_and(|word| word.is("]]")) {
            return None;
        }
        // A word that was begun and has no end, or an operator where a command should be.
        let may_follow = |c: char| ";&|)\n".contains(c);
        if self.at == start || !self.peek().is_none_or(may_follow) {
            return None;
        }
        Some(Command::Simple { assignments, words })
    }

    /// Takes a redirection, if one stands here; none where shells differ about it.
    fn redirection(&mut self) -> Option<bool> {
        self.skip_blanks();
        let digits = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = &self.rest()[digits..];
        if !after.starts_with(['<', '>']) {
            return Some(false);
        }
        // What is read from the lines below is not in this line; processes as files are not for every shell.
        if after.starts_with("<<") || after.starts_with("<(") || after.starts_with(">(") {
            return None;
        }
        self.at += digits;
        for operator in [">>", ">&", "<&", "<>", ">|", ">", "<"] {
            if self.eat(operator) {
                break;
            }
        }
        self.skip_blanks();
        self.word()?;
        Some(true)
    }

    /// The next word, if one begins here.
    fn word(&mut self) -> Option<Word> {
        let word = self.whole_word();
        // What is left over in a broken line means nothing.
        self.is_broken |= word.is_none();
        word.flatten()
    }

    /// None where it does not end.
    #[expect(clippy::option_option, reason = "no word and half a word are two things")]
    fn whole_word(&mut self) -> Option<Option<Word>> {
        let start = self.at;
        let (mut text, mut is_quoted) = (String::new(), false);
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    self.at += 1;
                    let escaped = self.peek()?;
                    self.at += escaped.len_utf8();
                    text.push(escaped);
                    is_quoted = true;
                }
                '\'' => {
                    let end = self.rest()[1..].find('\'')?;
                    text.push_str(&self.rest()[1..=end]);
                    self.at += end + 2;
                    is_quoted = true;
                }
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut text)?;
                    is_quoted = true;
                }
                '$' => self.expansion(&mut text)?,
                '`' => self.backquoted(&mut text)?,
                c => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        Some((self.at > start).then_some(Word { range: start..self.at, text, is_quoted }))
    }

    fn double_quoted(&mut self, text: &mut String) -> Option<()> {
        loop {
            match self.peek()? {
                '"' => {
                    self.at += 1;
                    return Some(());
                }
                '\\' => {
                    self.at += 1;
                    let escaped = self.peek()?;
                    self.at += escaped.len_utf8();
                    if !"$`\"\\\n".contains(escaped) {
                        text.push('\\');
                    }
                    text.push(escaped);
                }
                '$' if self.rest().starts_with("$'") || self.rest().starts_with("$\"") => {
                    self.at += 1;
                    text.push('$');
                }
                '$' => self.expansion(text)?,
                '`' => self.backquoted(text)?,
                c => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn backquoted(&mut self, text: &mut String) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                '`' => break,
                '\\' => {
                    self.at += 1;
                    self.at += self.peek()?.len_utf8();
                }
                c => self.at += c.len_utf8(),
            }
        }
        self.at += 1;
        text.push(EXPANSION);
        Some(())
    }

    fn expansion(&mut self, text: &mut String) -> Option<()> {
        self.at += 1;
        match self.peek() {
            Some('(') if self.rest().starts_with("((") => {
                let mut open = 0;
                loop {
                    match self.peek()? {
                        '(' => open += 1,
                        ')' => open -= 1,
                        '\'' | '"' | '`' | '\\' => return None,
                        _ => {}
                    }
                    self.at += self.peek()?.len_utf8();
                    if open == 0 {
                        break;
                    }
                }
                text.push(EXPANSION);
            }
            Some('(') => {
                self.at += 1;
                self.list(&[])?;
                self.skip_lines();
                self.eat(")").then_some(())?;
                text.push(EXPANSION);
            }
            Some('{') => {
                self.at += 1;
                self.braced()?;
                text.push(EXPANSION);
            }
            // $'…' and $"…" have escapes of their own in some shells.
            Some('\'' | '"') => return None,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                self.at += self.rest().len() - self.rest().trim_start_matches(name).len();
                text.push(EXPANSION);
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.at += 1;
                text.push(EXPANSION);
            }
            _ => text.push('$'),
        }
        Some(())
    }

    /// The rest of `${…}`.
    fn braced(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut ignored = String::new();
        loop {
            match self.peek()? {
                '}' => {
                    self.at += 1;
                    self.depth -= 1;
                    return Some(());
                }
                '\\' => {
                    self.at += 1;
                    self.at += self.peek()?.len_utf8();
                }
                '\'' => self.at += self.rest()[1..].find('\'')? + 2,
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut ignored)?;
                }
                '$' => self.expansion(&mut ignored)?,
                '`' => self.backquoted(&mut ignored)?,
                c => self.at += c.len_utf8(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
