//! Reading expressions: recursive descent, whose depth is bounded.

use std::borrow::Cow;
use std::time::Duration;

use regex::bytes::RegexBuilder;

use super::{ATTRIBUTES, Attribute, Comparison, MAX_EXPRESSION_BYTES, Method, Node, Value};
use crate::resources::values;

/// How deep parentheses and negations nest at most.
const MAX_DEPTH: usize = 32;

/// What a text can be asked.
const METHODS: [&str; 4] = ["contains", "startsWith", "endsWith", "matches"];

/// How large a compiled regular expression is at most, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {reason}")]
pub struct InvalidExpression {
    /// Where, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub reason: String,
}

type Parsed = Result<Node, InvalidExpression>;

/// Reads a condition.
pub(super) fn parse(source: &str) -> Parsed {
    let node = parse_value(source)?;
    if is_truth(&node) { Ok(node) } else { Parser { source, at: 0, depth: 0 }.fail("it is neither true nor false") }
}

/// Reads an expression of any kind.
pub(super) fn parse_value(source: &str) -> Parsed {
    let mut parser = Parser { source, at: 0, depth: 0 };
    if source.len() > MAX_EXPRESSION_BYTES {
        return parser.fail(format!("it is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let node = parser.choice()?;
    parser.skip_space();
    if parser.at < source.len() {
        return parser.fail("here it should have ended");
    }
    Ok(node)
}

/// Whether a node can only be true or false, or have no value.
fn is_truth(node: &Node) -> bool {
    match node {
        Node::Literal(value) => matches!(value, Value::Bool(_)),
        Node::Attribute(attribute) => *attribute == Attribute::MutualTls,
        Node::Header(_) | Node::Text(_) | Node::Join(..) => false,
        Node::If(_, yes, no) => is_truth(yes) && is_truth(no),
        _ => true,
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
    depth: usize,
}

impl<'s> Parser<'s> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, InvalidExpression> {
        let before = self.source.get(..self.at).unwrap_or_default();
        Err(InvalidExpression { at: before.chars().count() + 1, reason: reason.into() })
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.at = self.source.len() - self.rest().trim_start().len();
    }

    /// Takes a token if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), InvalidExpression> {
        if self.take(token) { Ok(()) } else { self.fail(format!("`{token}` should be here")) }
    }

    fn word(&mut self) -> &'s str {
        self.skip_space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = rest.get(..end).filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
        self.at += word.len();
        word
    }

    fn deeper(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_DEPTH {
            return self.fail(format!("it nests deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn choice(&mut self) -> Parsed {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.deeper(Self::choice)?;
        self.expect(":")?;
        let no = self.deeper(Self::choice)?;
        Ok(Node::If(Box::new(condition), Box::new(yes), Box::new(no)))
    }

    fn or(&mut self) -> Parsed {
        let mut node = self.and()?;
        while self.take("||") {
            node = Node::Or(Box::new(node), Box::new(self.and()?));
        }
        Ok(node)
    }

    fn and(&mut self) -> Parsed {
        let mut node = self.relation()?;
        while self.take("&&") {
            node = Node::And(Box::new(node), Box::new(self.relation()?));
        }
        Ok(node)
    }

    fn relation(&mut self) -> Parsed {
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let node = self.sum()?;
        if let Some((_, comparison)) = COMPARISONS.iter().find(|(token, _)| self.take(token)) {
            return Ok(Node::Compare(*comparison, Box::new(node), Box::new(self.sum()?)));
        }
        let before = self.at;
        if self.word() != "in" {
            self.at = before;
            return Ok(node);
        }
        self.expect("[")?;
        let mut list = Vec::new();
        while !self.take("]") {
            list.push(self.unary()?);
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Node::In(Box::new(node), list))
    }

    fn sum(&mut self) -> Parsed {
        let mut node = self.unary()?;
        while self.take("+") {
            node = Node::Join(Box::new(node), Box::new(self.unary()?));
        }
        Ok(node)
    }

    fn unary(&mut self) -> Parsed {
        if self.take("!") {
            return Ok(Node::Not(Box::new(self.deeper(Self::unary)?)));
        }
        let mut node = self.primary()?;
        while self.take(".") {
            let start = self.at;
            let method = self.word();
            if !METHODS.contains(&method) {
                self.at = start;
                return self.fail(format!("{method}() is none of {}", METHODS.join(", ")));
            }
            self.expect("(")?;
            let argument = self.deeper(Self::choice)?;
            self.expect(")")?;
            let text = Box::new(node);
            node = match (method, argument) {
                ("contains", part) => Node::Method(Method::Contains, text, Box::new(part)),
                ("startsWith", part) => Node::Method(Method::StartsWith, text, Box::new(part)),
                ("endsWith", part) => Node::Method(Method::EndsWith, text, Box::new(part)),
                ("matches", Node::Literal(Value::Text(source))) => {
                    let source = String::from_utf8_lossy(&source);
                    match RegexBuilder::new(&source).unicode(false).size_limit(MAX_REGEX_BYTES).build() {
                        Ok(regex) => Node::Matches(text, regex),
                        Err(error) => return self.fail(format!("the regular expression cannot be used: {error}")),
                    }
                }
                _ => return self.fail("matches() takes a text that is written down"),
            };
        }
        Ok(node)
    }

    fn primary(&mut self) -> Parsed {
        self.skip_space();
        match self.rest().chars().next() {
            None => self.fail("something is missing here"),
            Some('(') => {
                self.at += 1;
                let node = self.deeper(Self::choice)?;
                self.expect(")")?;
                Ok(node)
            }
            Some('"' | '\'') => self.text().map(|text| Node::Literal(Value::Text(Cow::Owned(text.into_bytes())))),
            Some(c) if c.is_ascii_digit() || c == '-' => self.number(),
            Some(_) => self.named(),
        }
    }

    fn number(&mut self) -> Parsed {
        let rest = self.rest();
        let end = rest.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit()).map_or(rest.len(), |(at, _)| at);
        match rest.get(..end).unwrap_or_default().parse() {
            Ok(number) => {
                self.at += end;
                Ok(Node::Literal(Value::Int(number)))
            }
            Err(_) => self.fail("this is no whole number"),
        }
    }

    fn text(&mut self) -> Result<String, InvalidExpression> {
        let mut text = String::new();
        let mut rest = self.rest().char_indices();
        let quote = rest.next().map_or('"', |(_, quote)| quote);
        while let Some((at, c)) = rest.next() {
            match c {
                _ if c == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match rest.next() {
                    Some((_, escaped @ ('\\' | '"' | '\''))) => text.push(escaped),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    // As regular expressions have them.
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        self.fail("this text has no end")
    }

    /// A name: of an attribute, a function or a truth.
    fn named(&mut self) -> Parsed {
        let start = self.at;
        let word = self.word();
        match word {
            "true" | "false" => return Ok(Node::Literal(Value::Bool(word == "true"))),
            "has" | "duration" | "string" if self.take("(") => {
                let node = self.deeper(Self::choice)?;
                self.expect(")")?;
                return match (word, node) {
                    ("has", node @ (Node::Attribute(_) | Node::Header(_))) => Ok(Node::Has(Box::new(node))),
                    ("has", _) => self.fail("has() takes an attribute"),
                    ("string", node) => Ok(Node::Text(Box::new(node))),
                    (_, Node::Literal(Value::Text(text))) => match duration(&text) {
                        Some(duration) => Ok(Node::Literal(Value::Duration(duration))),
                        None => self.fail("duration() takes a text such as \"1.5s\""),
                    },
                    _ => self.fail("duration() takes a text such as \"1.5s\""),
                };
            }
            _ => {}
        }
        let name = if self.take(".") { format!("{word}.{}", self.word()) } else { word.to_owned() };
        let Some((_, attribute)) = ATTRIBUTES.iter().find(|(known, _)| *known == name) else {
            self.at = start;
            return self.fail(format!("there is no attribute `{name}`"));
        };
        if *attribute != Attribute::Headers {
            return Ok(Node::Attribute(*attribute));
        }
        self.expect("[")?;
        self.skip_space();
        if !self.rest().starts_with(['"', '\'']) {
            return self.fail("the name of a header should be here, in quotes");
        }
        let header = self.text()?.to_ascii_lowercase();
        self.expect("]")?;
        Ok(Node::Header(header.into()))
    }
}

fn duration(text: &[u8]) -> Option<Duration> {
    let read: values::Duration = str::from_utf8(text).ok()?.parse().ok()?;
    Some(read.get())
}
