//! Words and operators into commands.

use super::lex::{self, DEPTH, Placed, Token};
use super::syntax::{Item, List, Node, Piece, Redirect, Simple, Stage, Target, Word};

/// Why a script cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    /// More text could make sense of it.
    #[error("syntax error: {0} is not closed")]
    Incomplete(String),
    /// It makes no sense.
    #[error("syntax error: {0}")]
    Wrong(String),
}

impl SyntaxError {
    pub(super) fn incomplete(what: impl ToString) -> Self {
        Self::Incomplete(what.to_string())
    }

    pub(super) fn wrong(what: impl ToString) -> Self {
        Self::Wrong(what.to_string())
    }

    pub(super) const fn is_incomplete(&self) -> bool {
        matches!(self, Self::Incomplete(_))
    }
}

type Parsed<T> = Result<T, SyntaxError>;

/// Words that end a list.
const CLOSING: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "esac", "}"];

/// Reads a whole script.
pub(super) fn script(text: &str) -> Parsed<List> {
    let mut parser = Parser { text, tokens: lex::tokens(text)?, at: 0, depth: 0 };
    let list = parser.list()?;
    match parser.peek() {
        Token::End => Ok(list),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |placed| &placed.token)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn unexpected(&self) -> SyntaxError {
        match self.tokens.get(self.at) {
            None | Some(Placed { token: Token::End, .. }) => SyntaxError::incomplete("the command"),
            Some(placed) => {
                let text = self.text.get(placed.start..placed.end).unwrap_or_default();
                let text = if text == "\n" { "end of line" } else { text };
                SyntaxError::wrong(format!("unexpected {text:?}"))
            }
        }
    }

    fn operator(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Operator(operator) if *operator == wanted);
        if found {
            self.at += 1;
        }
        found
    }

    /// The next word, if it is bare text.
    fn keyword(&self) -> Option<&str> {
        match self.peek() {
            Token::Word(word) => bare(word),
            _ => None,
        }
    }

    fn take_keyword(&mut self, wanted: &str) -> bool {
        let found = self.keyword() == Some(wanted);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect_keyword(&mut self, wanted: &str) -> Parsed<()> {
        self.newlines();
        if self.take_keyword(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn newlines(&mut self) {
        while self.operator("\n") {}
    }

    /// Where the next token begins, in bytes.
    fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |placed| placed.start)
    }

    /// The text from `start` to the last token that was read.
    fn text_from(&self, start: usize) -> String {
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |placed| placed.end);
        self.text.get(start..end).unwrap_or_default().to_owned()
    }

    fn list(&mut self) -> Parsed<List> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(SyntaxError::wrong("nested too deeply"));
        }
        let mut list = List::new();
        loop {
            while self.operator("\n") || self.operator(";") {}
            let ends = match self.peek() {
                Token::End | Token::Operator(")" | ";;") => true,
                _ => self.keyword().is_some_and(|word| CLOSING.contains(&word)),
            };
            if ends {
                break;
            }
            let start = self.start();
            let node = self.chain()?;
            let text = self.text_from(start);
            let background = self.operator("&").then_some(text);
            list.push(Item { node, background });
            if list.last().is_some_and(|item| item.background.is_some()) {
                continue;
            }
            if !matches!(self.peek(), Token::Operator("\n" | ";" | ")" | ";;") | Token::End) {
                return Err(self.unexpected());
            }
        }
        self.depth -= 1;
        Ok(list)
    }

    fn chain(&mut self) -> Parsed<Node> {
        let first = self.pipeline()?;
        let mut more = Vec::new();
        loop {
            let on_success = match self.peek() {
                Token::Operator("&&") => true,
                Token::Operator("||") => false,
                _ => break,
            };
            self.at += 1;
            self.newlines();
            more.push((on_success, self.pipeline()?));
        }
        Ok(if more.is_empty() { first } else { Node::Chain(Box::new(first), more) })
    }

    fn pipeline(&mut self) -> Parsed<Node> {
        let negated = self.take_keyword("!");
        let mut stages = Vec::new();
        loop {
            let start = self.start();
            let node = self.command()?;
            stages.push(Stage { node, text: self.text_from(start) });
            if !self.operator("|") {
                break;
            }
            self.newlines();
        }
        match (stages.len(), negated) {
            (1, false) => Ok(stages.remove(0).node),
            _ => Ok(Node::Pipeline { negated, stages }),
        }
    }

    fn command(&mut self) -> Parsed<Node> {
        let begin = self.start();
        if matches!(self.peek(), Token::Operator("(")) {
            self.at += 1;
            let start = self.start();
            self.list()?;
            let text = self.text.get(start..self.start()).unwrap_or_default().to_owned();
            if !self.operator(")") {
                return Err(self.unexpected());
            }
            return self.redirected(Node::Subshell(text), begin);
        }
        let node = match self.keyword() {
            Some("{") => {
                self.at += 1;
                let list = self.list()?;
                self.expect_keyword("}")?;
                Node::Group(list)
            }
            Some("if") => self.conditional()?,
            Some("while") => self.repetition(false)?,
            Some("until") => self.repetition(true)?,
            Some("for") => self.each()?,
            Some("case") => self.case()?,
            _ => return self.simple(),
        };
        self.redirected(node, begin)
    }

    fn redirected(&mut self, node: Node, begin: usize) -> Parsed<Node> {
        let text = self.text_from(begin);
        let mut redirects = Vec::new();
        while self.redirect(&mut redirects)? {}
        Ok(if redirects.is_empty() { node } else { Node::Redirected(text, redirects) })
    }

    fn conditional(&mut self) -> Parsed<Node> {
        self.at += 1;
        let mut arms = Vec::new();
        let mut otherwise = List::new();
        loop {
            let condition = self.list()?;
            self.expect_keyword("then")?;
            arms.push((condition, self.list()?));
            if self.take_keyword("elif") {
                continue;
            }
            if self.take_keyword("else") {
                otherwise = self.list()?;
            }
            self.expect_keyword("fi")?;
            return Ok(Node::If { arms, otherwise });
        }
    }

    fn repetition(&mut self, until: bool) -> Parsed<Node> {
        self.at += 1;
        let condition = self.list()?;
        let body = self.body()?;
        Ok(Node::While { until, condition, body })
    }

    fn body(&mut self) -> Parsed<List> {
        self.expect_keyword("do")?;
        let body = self.list()?;
        self.expect_keyword("done")?;
        Ok(body)
    }

    fn each(&mut self) -> Parsed<Node> {
        self.at += 1;
        let name = self.keyword().filter(|name| is_name(name)).map(str::to_owned).ok_or_else(|| self.unexpected())?;
        self.at += 1;
        self.newlines();
        let words = if self.take_keyword("in") {
            let mut words = Vec::new();
            while let Token::Word(word) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
            Some(words)
        } else {
            None
        };
        while self.operator(";") || self.operator("\n") {}
        let body = self.body()?;
        Ok(Node::For { name, words, body })
    }

    fn case(&mut self) -> Parsed<Node> {
        self.at += 1;
        let Token::Word(subject) = self.next() else { return Err(self.unexpected()) };
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.take_keyword("esac") {
                return Ok(Node::Case { subject, arms });
            }
            self.operator("(");
            let mut patterns = Vec::new();
            loop {
                let Token::Word(pattern) = self.peek().clone() else { return Err(self.unexpected()) };
                self.at += 1;
                patterns.push(pattern);
                if !self.operator("|") {
                    break;
                }
            }
            if !self.operator(")") {
                return Err(self.unexpected());
            }
            arms.push((patterns, self.list()?));
            self.operator(";;");
        }
    }

    fn simple(&mut self) -> Parsed<Node> {
        let begin = self.start();
        let mut simple = Simple::default();
        loop {
            if self.redirect(&mut simple.redirects)? {
                continue;
            }
            let Token::Word(word) = self.peek() else { break };
            let word = word.clone();
            self.at += 1;
            match assignment(&word).filter(|_| simple.words.is_empty()) {
                Some(assignment) => simple.assignments.push(assignment),
                None => simple.words.push(word),
            }
            if let [name] = simple.words.as_slice()
                && matches!(self.peek(), Token::Operator("("))
                && let Some(name) = bare(name).filter(|name| is_name(name)).map(str::to_owned)
            {
                self.at += 1;
                if !self.operator(")") {
                    return Err(self.unexpected());
                }
                self.newlines();
                let body = Box::new(self.command()?);
                return Ok(Node::Function { name, body, text: self.text_from(begin) });
            }
        }
        if simple == Simple::default() {
            return Err(self.unexpected());
        }
        Ok(Node::Simple(simple))
    }

    /// Reads a redirection, if one is here.
    fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> Parsed<bool> {
        let given = match self.peek() {
            Token::Descriptor(descriptor) => Some(*descriptor),
            _ => None,
        };
        self.at += usize::from(given.is_some());
        let Token::Operator(operator @ ("<" | ">" | ">>" | ">|" | "<&" | ">&" | "&>" | "<<" | "<<-" | "<<<")) =
            *self.peek()
        else {
            return if given.is_some() { Err(self.unexpected()) } else { Ok(false) };
        };
        self.at += 1;
        let Token::Word(mut word) = self.peek().clone() else { return Err(self.unexpected()) };
        self.at += 1;
        let output = given.unwrap_or(1);
        let (descriptor, target) = match operator {
            "<" => (given.unwrap_or(0), Target::Read(word)),
            ">" | ">|" => (output, Target::Write(word)),
            ">>" => (output, Target::Append(word)),
            "<<" | "<<-" => (given.unwrap_or(0), Target::Text(word)),
            "<<<" => {
                word.push(Piece::Text { text: "\n".to_owned(), quoted: true });
                (given.unwrap_or(0), Target::Text(word))
            }
            "&>" => {
                redirects.push(Redirect { descriptor: 1, target: Target::Write(word) });
                (2, Target::Same(1))
            }
            _ => match bare(&word) {
                Some("-") => {
                    let null = vec![Piece::Text { text: "/dev/null".to_owned(), quoted: true }];
                    (if operator == "<&" { given.unwrap_or(0) } else { output }, Target::Write(null))
                }
                Some(number) => match number.parse() {
                    Ok(number) => (output, Target::Same(number)),
                    Err(_) if operator == ">&" => {
                        redirects.push(Redirect { descriptor: 1, target: Target::Write(word) });
                        (2, Target::Same(1))
                    }
                    Err(_) => return Err(self.unexpected()),
                },
                None => return Err(self.unexpected()),
            },
        };
        if descriptor > 2 {
            return Err(SyntaxError::wrong(format!("only descriptors 0, 1 and 2 are redirected, not {descriptor}")));
        }
        redirects.push(Redirect { descriptor, target });
        Ok(true)
    }
}

/// The word's text, if it is one unquoted piece.
fn bare(word: &Word) -> Option<&str> {
    match word.as_slice() {
        [Piece::Text { text, quoted: false }] => Some(text),
        _ => None,
    }
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name=value`
fn assignment(word: &Word) -> Option<(String, Word)> {
    let (first, rest) = word.split_first()?;
    let Piece::Text { text, quoted: false } = first else { return None };
    let (name, value) = text.split_once('=').filter(|(name, _)| is_name(name))?;
    let mut pieces = vec![Piece::Text { text: value.to_owned(), quoted: false }];
    pieces.extend(rest.iter().cloned());
    Some((name.to_owned(), pieces))
}
