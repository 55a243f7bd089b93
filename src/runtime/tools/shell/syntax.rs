//! What a script is made of.

/// One command after the other.
pub(super) type List = Vec<Item>;

/// A member of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) node: Node,
    /// It ends in `&`: nobody waits for it. The text is what a process of its own is to run.
    pub(super) background: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Simple(Simple),
    /// `a | b`, `! a`.
    Pipeline {
        negated: bool,
        stages: Vec<Stage>,
    },
    /// `a && b || c`: the first, then what follows on success (`true`) or failure.
    Chain(Box<Self>, Vec<(bool, Self)>),
    If {
        arms: Vec<(List, List)>,
        otherwise: List,
    },
    /// `while` and, negated, `until`.
    While {
        until: bool,
        condition: List,
        body: List,
    },
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    Case {
        subject: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    /// `( … )`, as the text of a process of its own.
    Subshell(String),
    Group(List),
    /// A function, and the text of its definition.
    Function {
        name: String,
        body: Box<Self>,
        text: String,
    },
    /// The text of a compound command, and its redirections.
    Redirected(String, Vec<Redirect>),
}

/// A member of a pipeline: as it is, and as the text of a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) node: Node,
    pub(super) text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    /// 0, 1 or 2.
    pub(super) descriptor: u8,
    pub(super) target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `2>&1`
    Same(u8),
    /// `<<END`, `<<<word`
    Text(Word),
}

/// Text with what is to be put in for its parts.
pub(super) type Word = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is; unquoted text may hold patterns.
    Text { text: String, quoted: bool },
    /// `$name`, `${name…}`
    Parameter { name: String, change: Option<Change>, quoted: bool },
    /// `$(…)`, `` `…` ``
    Command { text: String, quoted: bool },
    /// `$((…))`
    Arithmetic { text: Word, quoted: bool },
}

/// What `${…}` does to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// `${#name}`
    Length,
    /// `-`, `=`, `?`, `+`, and with a colon where an empty value counts as none.
    Default { operator: char, empty_too: bool, word: Word },
    /// `#`, `##`, `%`, `%%`: cut a prefix or suffix, the longest one where doubled.
    Cut { suffix: bool, longest: bool, pattern: Word },
}
