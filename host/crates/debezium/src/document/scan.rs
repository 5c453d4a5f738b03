//! Places in a JSON text that is known to be valid: a walk over its characters.

use super::Place;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Null,
    /// A text, or a number or boolean as it is written.
    Scalar(String),
    List(Vec<Node>),
    /// Name, place of the name, value.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Body::Map(members) = &self.body else { return None };
        members.iter().find(|(member, _, _)| member == name).map(|(_, _, node)| node)
    }
}

/// The tree of a valid text. In one that is not, what cannot be understood is null.
pub(super) fn scan(text: &str) -> Node {
    Scanner { rest: text, line: 1, column: 1 }.value()
}

struct Scanner<'t> {
    rest: &'t str,
    line: u32,
    column: u32,
}

impl<'t> Scanner<'t> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.rest = self.rest.get(letter.len_utf8()..).unwrap_or_default();
        if letter == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    /// Steps over what separates: spaces, commas and colons.
    fn between(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace() || c == ',' || c == ':') {
            self.step();
        }
    }

    fn here(&self) -> Place {
        Place { line: self.line, column: self.column, width: 1 }
    }

    fn value(&mut self) -> Node {
        self.between();
        let mut place = self.here();
        let body = match self.peek() {
            Some('{') => Body::Map(self.members()),
            Some('[') => Body::List(self.entries()),
            _ => {
                let token = self.token();
                place.width = u32::try_from(token.chars().count()).unwrap_or(1).max(1);
                scalar(token)
            }
        };
        Node { place, body }
    }

    fn members(&mut self) -> Vec<(String, Place, Node)> {
        let mut members = Vec::new();
        self.step();
        loop {
            self.between();
            let mut place = self.here();
            match self.peek() {
                Some('"') => {
                    let token = self.token();
                    place.width = u32::try_from(token.chars().count()).unwrap_or(1);
                    members.push((unquoted(token), place, self.value()));
                }
                _ => {
                    self.step();
                    return members;
                }
            }
        }
    }

    fn entries(&mut self) -> Vec<Node> {
        let mut entries = Vec::new();
        self.step();
        loop {
            self.between();
            match self.peek() {
                None | Some(']') => {
                    self.step();
                    return entries;
                }
                Some(_) => entries.push(self.value()),
            }
        }
    }

    /// A text with its quotes, or a bare word or number.
    fn token(&mut self) -> &'t str {
        let start = self.rest;
        if self.peek() == Some('"') {
            self.step();
            while let Some(letter) = self.step() {
                match letter {
                    '\\' => {
                        self.step();
                    }
                    '"' => break,
                    _ => {}
                }
            }
        } else {
            let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            while self.peek().is_some_and(bare) {
                self.step();
            }
            if start.len() == self.rest.len() {
                self.step();
            }
        }
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }
}

fn scalar(token: &str) -> Body {
    match token {
        "null" => Body::Null,
        _ if token.starts_with('"') => Body::Scalar(unquoted(token)),
        _ => Body::Scalar(token.to_owned()),
    }
}

fn unquoted(token: &str) -> String {
    serde_json::from_str(token).unwrap_or_default()
}
