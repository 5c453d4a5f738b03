//! A statement in words: names, quoted names, strings, numbers and signs. Comments are left out,
//! but for the contents of `/*! .. */`, which the server runs.

use crate::catalog::TableName;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word or a number, as written.
    Word(String),
    /// In backquotes, or in double quotes where a name stands.
    Name(String),
    Text(String),
    Sign(char),
}

/// The pieces that are left.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    tokens: Vec<Token>,
    at: usize,
    database: &'a str,
    /// Names of tables do not count case.
    lower: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(sql: &str, database: &'a str, lower: bool) -> Self {
        Self { tokens: split(sql), at: 0, database, lower }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len() || self.is(";")
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Whether the next piece is this word (in any case) or sign.
    pub(super) fn is(&self, word: &str) -> bool {
        match self.peek() {
            Some(Token::Word(found)) => found.eq_ignore_ascii_case(word),
            Some(Token::Sign(sign)) => word.chars().eq([*sign]),
            _ => false,
        }
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Takes words that stand together.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        if words.iter().all(|word| self.eat(word)) {
            return true;
        }
        self.at = start;
        false
    }

    /// Goes behind the next such word.
    pub(super) fn skip_to(&mut self, word: &str) -> bool {
        while !self.is_at_end() {
            if self.eat(word) {
                return true;
            }
            self.skip();
        }
        false
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.skip();
        token
    }

    /// A plain word or a number.
    pub(super) fn word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        let word = word.clone();
        self.skip();
        Some(word)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let Some(Token::Text(text)) = self.peek() else { return None };
        let text = text.clone();
        self.skip();
        Some(text)
    }

    /// Goes behind a group in parentheses, if one stands here.
    pub(super) fn skip_parentheses(&mut self) {
        if !self.is("(") {
            return;
        }
        let mut depth = 0;
        while let Some(token) = self.take() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A reader of what follows the group that stands here.
    pub(super) fn behind_parentheses(&self) -> Self {
        let mut behind = self.clone();
        behind.skip_parentheses();
        behind
    }

    /// `(a, b(10) DESC)`; `None`: expressions among them.
    pub(super) fn names_in_parentheses(&mut self) -> Option<Vec<String>> {
        let mut inside = self.clone();
        self.skip_parentheses();
        inside.eat("(");
        let mut names = Vec::new();
        loop {
            names.push(inside.identifier()?);
            inside.skip_parentheses();
            let _order = inside.eat("asc") || inside.eat("desc");
            if inside.eat(")") {
                return Some(names);
            }
            if !inside.eat(",") {
                return None;
            }
        }
    }

    pub(super) fn identifier(&mut self) -> Option<String> {
        let name = match self.peek()? {
            Token::Word(name) | Token::Name(name) => name.clone(),
            // With sql_mode ANSI_QUOTES a name.
            Token::Text(name) => name.clone(),
            Token::Sign(_) => return None,
        };
        self.skip();
        Some(name)
    }

    /// `table` or `database.table`.
    pub(super) fn table_name(&mut self) -> Option<TableName> {
        let first = self.identifier()?;
        let (database, table) = match self.eat(".") {
            true => (first, self.identifier()?),
            false => (self.database.to_owned(), first),
        };
        Some(match self.lower {
            true => (database.to_lowercase(), table.to_lowercase()),
            false => (database, table),
        })
    }
}

fn split(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return tokens };
        if let Some(after) = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!")) {
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        } else if let Some(after) = rest.strip_prefix("/*") {
            rest = after.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("*/") {
            rest = after;
        } else if first == '#' || rest.starts_with("-- ") || rest.starts_with("--\n") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let '`' | '\'' | '"' = first {
            let (text, after) = quoted(rest, first);
            tokens.push(if first == '`' { Token::Name(text) } else { Token::Text(text) });
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        } else {
            tokens.push(Token::Sign(first));
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@')
}

/// A quoted piece and what follows it. A doubled quote stands for itself, in strings a backslash
/// escapes.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut out = String::new();
    let mut characters = text.chars();
    characters.next();
    while let Some(c) = characters.next() {
        if c == quote {
            match characters.as_str().strip_prefix(quote) {
                Some(after) => {
                    out.push(quote);
                    characters = after.chars();
                }
                None => return (out, characters.as_str()),
            }
        } else if c == '\\' && quote != '`' {
            match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('0') => out.push('\0'),
                Some(other) => out.push(other),
                None => {}
            }
        } else {
            out.push(c);
        }
    }
    (out, "")
}
