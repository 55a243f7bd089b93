//! Text into words and operators, with their places.

use super::parse::SyntaxError;
use super::syntax::{Change, Piece, Word};

/// Nesting of quotes, expansions and compound commands at most.
pub(super) const DEPTH: usize = 100;

/// Operators, longer ones first.
const OPERATORS: [&str; 19] =
    ["<<<", "<<-", ";;", "&&", "||", "<<", ">>", "<&", ">&", ">|", "&>", "<", ">", "|", "&", ";", "(", ")", "\n"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Operator(&'static str),
    /// The number before `<` or `>`.
    Descriptor(u8),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    /// Where it is in the text, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads a whole text. Here-documents become the word that follows their operator.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0, depth: 0 };
    let mut tokens: Vec<Placed> = Vec::new();
    // Here-documents whose text begins after this line: the place of their word among the tokens, and whether tabs go.
    let mut waiting: Vec<(usize, bool)> = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let token = lexer.token()?;
        let is_newline = token == Token::Operator("\n");
        let is_end = token == Token::End;
        if let Some(Placed { token: Token::Operator(operator @ ("<<" | "<<-")), .. }) = tokens.last()
            && matches!(token, Token::Word(_))
        {
            waiting.push((tokens.len(), *operator == "<<-"));
        }
        tokens.push(Placed { token, start, end: lexer.at });
        if is_newline || is_end {
            for (place, strip) in waiting.drain(..) {
                if is_end {
                    return Err(SyntaxError::incomplete("a here-document"));
                }
                let Some(Placed { token: Token::Word(word), .. }) = tokens.get_mut(place) else { continue };
                let literal = word.iter().any(|piece| matches!(piece, Piece::Text { quoted: true, .. }));
                let end: String = word.iter().filter_map(Piece::literal).collect();
                *word = lexer.here_document(&end, strip, literal)?;
            }
        }
        if is_end {
            return Ok(tokens);
        }
    }
}

impl Piece {
    fn literal(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// The pieces of text in which only `$`, `` ` `` and `\` are special.
pub(super) fn quoted_text(text: &str) -> Result<Word, SyntaxError> {
    let mut lexer = Lexer { text, at: 0, depth: 0 };
    let mut word = Word::new();
    lexer.quoted(None, &mut word)?;
    Ok(word)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        loop {
            if self.take("\\\n") {
                continue;
            }
            match self.peek() {
                Some(' ' | '\t' | '\r') => {
                    self.next();
                }
                Some('#') => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.at += end;
                }
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        let after = self.rest().get(1..2);
        if first.is_ascii_digit() && matches!(after, Some("<" | ">")) {
            self.next();
            let descriptor = first.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
            return Ok(Token::Descriptor(descriptor));
        }
        if let Some(operator) = OPERATORS.iter().find(|operator| self.rest().starts_with(**operator)) {
            self.at += operator.len();
            return Ok(Token::Operator(operator));
        }
        self.word().map(Token::Word)
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        let mut plain = String::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some(escaped) => {
                            flush(&mut plain, &mut word);
                            push_quoted(&mut word, &escaped.to_string());
                        }
                        None => plain.push('\\'),
                    }
                }
                '\'' => {
                    self.next();
                    let Some(end) = self.rest().find('\'') else { return Err(SyntaxError::incomplete("'")) };
                    flush(&mut plain, &mut word);
                    push_quoted(&mut word, self.rest().get(..end).unwrap_or_default());
                    self.at += end + 1;
                }
                '"' => {
                    self.next();
                    flush(&mut plain, &mut word);
                    // An empty string is a word, too.
                    push_quoted(&mut word, "");
                    self.quoted(Some('"'), &mut word)?;
                }
                '$' | '`' => {
                    flush(&mut plain, &mut word);
                    match self.expansion(false)? {
                        Some(piece) => word.push(piece),
                        None => plain.push('$'),
                    }
                }
                c => {
                    plain.push(c);
                    self.next();
                }
            }
        }
        flush(&mut plain, &mut word);
        Ok(word)
    }

    /// Up to `end` (or the text's), with only `$`, `` ` `` and `\` special.
    fn quoted(&mut self, end: Option<char>, word: &mut Word) -> Result<(), SyntaxError> {
        self.deeper()?;
        let mut plain = String::new();
        loop {
            let Some(c) = self.peek() else {
                if let Some(end) = end {
                    return Err(SyntaxError::incomplete(end));
                }
                break;
            };
            match c {
                c if Some(c) == end => {
                    self.next();
                    break;
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => plain.push(c),
                        Some(c) => plain.extend(['\\', c]),
                        None => plain.push('\\'),
                    }
                }
                '$' | '`' => match self.expansion(true)? {
                    Some(piece) => {
                        if !plain.is_empty() {
                            push_quoted(word, &std::mem::take(&mut plain));
                        }
                        word.push(piece);
                    }
                    None => plain.push('$'),
                },
                c => {
                    plain.push(c);
                    self.next();
                }
            }
        }
        if !plain.is_empty() {
            push_quoted(word, &plain);
        }
        self.depth -= 1;
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH { Err(SyntaxError::wrong("nested too deeply")) } else { Ok(()) }
    }

    /// At `$` or `` ` ``. `None`: a dollar sign that means itself; it has been read.
    fn expansion(&mut self, quoted: bool) -> Result<Option<Piece>, SyntaxError> {
        if self.take("`") {
            let start = self.at;
            loop {
                match self.next() {
                    Some('`') => break,
                    Some('\\') => {
                        self.next();
                    }
                    Some(_) => {}
                    None => return Err(SyntaxError::incomplete("`")),
                }
            }
            let text = self.text.get(start..self.at - 1).unwrap_or_default();
            let text = text.replace("\\`", "`").replace("\\\\", "\\");
            return Ok(Some(Piece::Command { text, quoted }));
        }
        self.next();
        if self.rest().starts_with("((")
            && let Some(end) = self.arithmetic_end()
        {
            let inner = self.rest().get(2..end - 2).unwrap_or_default();
            let text = quoted_text(inner)?;
            self.at += end;
            return Ok(Some(Piece::Arithmetic { text, quoted }));
        }
        if self.take("(") {
            let start = self.at;
            self.skip_parentheses()?;
            let text = self.text.get(start..self.at - 1).unwrap_or_default().to_owned();
            return Ok(Some(Piece::Command { text, quoted }));
        }
        if self.take("{") {
            return self.braced(quoted).map(Some);
        }
        let name = self.name();
        if !name.is_empty() {
            return Ok(Some(Piece::Parameter { name, change: None, quoted }));
        }
        match self.peek() {
            Some(c @ ('?' | '#' | '@' | '*' | '$' | '!' | '-' | '0'..='9')) => {
                self.next();
                Ok(Some(Piece::Parameter { name: c.to_string(), change: None, quoted }))
            }
            _ => Ok(None),
        }
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let starts = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = if starts { rest.get(..end).unwrap_or_default() } else { "" };
        self.at += name.len();
        name.to_owned()
    }

    /// The length of `((…))` at which the lexer stands, if its parentheses close together.
    fn arithmetic_end(&self) -> Option<usize> {
        let mut depth = 0_usize;
        let rest = self.rest();
        for (at, c) in rest.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return rest.get(..=at).filter(|text| text.ends_with("))")).map(str::len);
            }
        }
        None
    }

    /// To the parenthesis that closes the one before, past quotes and comments.
    fn skip_parentheses(&mut self) -> Result<(), SyntaxError> {
        self.deeper()?;
        loop {
            match self.next() {
                Some(')') => break,
                Some('(') => self.skip_parentheses()?,
                Some('\\') => {
                    self.next();
                }
                Some('\'') => while self.next().ok_or_else(|| SyntaxError::incomplete("'"))? != '\'' {},
                Some('"') => {
                    let mut ignored = Word::new();
                    self.quoted(Some('"'), &mut ignored)?;
                }
                Some(_) => {}
                None => return Err(SyntaxError::incomplete("$(")),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// After `${`.
    fn braced(&mut self, quoted: bool) -> Result<Piece, SyntaxError> {
        if self.rest().starts_with('#') && !self.rest().starts_with("#}") {
            self.next();
            let name = self.parameter_name();
            return if self.take("}") {
                Ok(Piece::Parameter { name, change: Some(Change::Length), quoted })
            } else {
                Err(SyntaxError::wrong("${#…}"))
            };
        }
        let name = self.parameter_name();
        if name.is_empty() {
            return Err(SyntaxError::wrong("${…} without a name"));
        }
        if self.take("}") {
            return Ok(Piece::Parameter { name, change: None, quoted });
        }
        let cut = [("##", false, true), ("#", false, false), ("%%", true, true), ("%", true, false)];
        for (operator, suffix, longest) in cut {
            if self.take(operator) {
                let pattern = self.until_brace()?;
                return Ok(Piece::Parameter { name, change: Some(Change::Cut { suffix, longest, pattern }), quoted });
            }
        }
        let empty_too = self.take(":");
        match self.next() {
            Some(operator @ ('-' | '=' | '?' | '+')) => {
                let word = self.until_brace()?;
                let change = Change::Default { operator, empty_too, word };
                Ok(Piece::Parameter { name, change: Some(change), quoted })
            }
            Some(_) => Err(SyntaxError::wrong(format!("${{{name}…}}: this expansion is not built in"))),
            None => Err(SyntaxError::incomplete("${")),
        }
    }

    fn parameter_name(&mut self) -> String {
        let name = self.name();
        match self.peek() {
            Some(c @ ('?' | '@' | '*' | '!' | '#' | '$' | '0'..='9')) if name.is_empty() => {
                self.next();
                c.to_string()
            }
            _ => name,
        }
    }

    /// The word up to the brace that closes the expansion.
    fn until_brace(&mut self) -> Result<Word, SyntaxError> {
        self.deeper()?;
        let mut word = Word::new();
        let mut plain = String::new();
        loop {
            match self.peek() {
                None => return Err(SyntaxError::incomplete("${")),
                Some('}') => {
                    self.next();
                    break;
                }
                Some('"') => {
                    self.next();
                    flush(&mut plain, &mut word);
                    self.quoted(Some('"'), &mut word)?;
                }
                Some('\'') => {
                    self.next();
                    flush(&mut plain, &mut word);
                    let end = self.rest().find('\'').ok_or_else(|| SyntaxError::incomplete("'"))?;
                    push_quoted(&mut word, self.rest().get(..end).unwrap_or_default());
                    self.at += end + 1;
                }
                Some('\\') => {
                    self.next();
                    plain.extend(self.next());
                }
                Some('$' | '`') => {
                    flush(&mut plain, &mut word);
                    match self.expansion(false)? {
                        Some(piece) => word.push(piece),
                        None => plain.push('$'),
                    }
                }
                Some(c) => {
                    plain.push(c);
                    self.next();
                }
            }
        }
        flush(&mut plain, &mut word);
        self.depth -= 1;
        Ok(word)
    }

    fn here_document(&mut self, end: &str, strip: bool, literal: bool) -> Result<Word, SyntaxError> {
        let mut text = String::new();
        loop {
            if self.rest().is_empty() {
                return Err(SyntaxError::incomplete("a here-document"));
            }
            let length = self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
            let line = self.rest().get(..length).unwrap_or_default();
            self.at += length;
            let line = if strip { line.trim_start_matches('\t') } else { line };
            if line.trim_end_matches('\n') == end {
                break;
            }
            text.push_str(line);
        }
        if literal { Ok(vec![Piece::Text { text, quoted: true }]) } else { quoted_text(&text) }
    }
}

fn flush(plain: &mut String, word: &mut Word) {
    if !plain.is_empty() {
        word.push(Piece::Text { text: std::mem::take(plain), quoted: false });
    }
}

fn push_quoted(word: &mut Word, text: &str) {
    word.push(Piece::Text { text: text.to_owned(), quoted: true });
}
