//! Runs commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::parse::is_name;
use super::syntax::{Item, List, Node, Redirect, Simple, Stage, Target};
use super::{complain, is_hidden, wait};
use crate::runtime::tools::{self, Files, Launch};

/// Calls of functions within each other at most.
const CALLS: usize = 200;
/// Processes in the background at one time.
const BACKGROUND: usize = 256;
/// Exit code of a command that cannot be started.
const CANNOT_START: u8 = 126;

/// Why a list does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Exit(u8),
    Return,
    Break(u32),
    Continue(u32),
}

type Ran = Result<u8, Stop>;

/// Where the standard streams of a command lead; `None`: where the shell's lead.
#[derive(Default)]
struct Streams {
    input: Option<Source>,
    out: Option<std::fs::File>,
    err: Option<std::fs::File>,
}

enum Source {
    File(std::fs::File),
    Text(String),
}

/// A variable as it was before a function made it its own: name, value, and whether commands see it.
type Hidden = (String, Option<String>, bool);

/// A shell at work.
pub(super) struct Shell {
    pub(super) files: Files,
    pub(super) launch: Launch,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) exit_on_error: bool,
    pub(super) trace: bool,
    pub(super) refuse_unset: bool,
    exported: BTreeSet<String>,
    /// By name: what it does, and the text of its definition.
    functions: HashMap<String, (Node, String)>,
    status: u8,
    /// The exit code after which a condition, and not the script, goes on.
    in_condition: u32,
    calls: usize,
    /// The list before ended with a failure that `-e` lets pass, as a condition's is.
    passed: bool,
    /// Loops around what runs now.
    loops: u32,
    /// What the variables of each function's own hid, by call.
    hidden: Vec<Vec<Hidden>>,
    background: Vec<Child>,
    last_background: Option<u32>,
}

impl Shell {
    pub(super) fn new(files: Files, launch: Launch) -> Self {
        let variables: BTreeMap<_, _> = std::env::vars().filter(|(name, _)| !is_hidden(name)).collect();
        Self {
            files,
            launch,
            name: "sh".to_owned(),
            arguments: Vec::new(),
            exported: variables.keys().cloned().collect(),
            variables,
            exit_on_error: false,
            trace: false,
            refuse_unset: false,
            functions: HashMap::new(),
            status: 0,
            in_condition: 0,
            calls: 0,
            passed: false,
            loops: 0,
            hidden: Vec::new(),
            background: Vec::new(),
            last_background: None,
        }
    }

    pub(super) fn set_arguments(&mut self, name: &str, arguments: &[String]) {
        (self.name, self.arguments) = (name.to_owned(), arguments.to_vec());
    }

    pub(super) const fn status(&self) -> u8 {
        self.status
    }

    pub(super) const fn fail(&mut self, code: u8) {
        self.status = code;
    }

    pub(super) const fn last_background(&self) -> Option<u32> {
        self.last_background
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn list(&mut self, list: &List) -> Ran {
        for Item { node, background } in list {
            match background {
                Some(text) => self.start_in_background(text)?,
                None => {
                    let (code, counts) = match node {
                        Node::Chain(first, more) => self.chain(first, more)?,
                        Node::Simple(_) | Node::Subshell(_) | Node::Redirected(..) => (self.node(node)?, true),
                        node => {
                            self.passed = false;
                            let code = self.node(node)?;
                            (code, !self.passed && !is_negated(node))
                        }
                    };
                    self.settle(code, counts)?;
                }
            }
        }
        Ok(self.status)
    }

    /// Takes note of an exit code; `-e` ends the script at a failure outside of conditions.
    fn settle(&mut self, code: u8, counts: bool) -> Result<(), Stop> {
        self.status = code;
        self.passed = code != 0 && !counts;
        if code != 0 && counts && self.exit_on_error && self.in_condition == 0 {
            return Err(Stop::Exit(code));
        }
        Ok(())
    }

    /// Runs commands joined by `&&` and `||`; the exit code, and whether it is one that `-e` looks at: that of the last command.
    fn chain(&mut self, first: &Node, more: &[(bool, Node)]) -> Result<(u8, bool), Stop> {
        let (mut code, mut counts) = (0, false);
        let all = std::iter::once((None, first)).chain(more.iter().map(|(on_success, node)| (Some(*on_success), node)));
        for (index, (on_success, node)) in all.enumerate() {
            if on_success.is_some_and(|on_success| (code == 0) != on_success) {
                counts = false;
                continue;
            }
            let last = index == more.len();
            self.in_condition += u32::from(!last);
            let ran = self.node(node);
            self.in_condition -= u32::from(!last);
            code = ran?;
            self.status = code;
            counts = last && !is_negated(node);
        }
        Ok((code, counts))
    }

    fn condition(&mut self, list: &List) -> Result<bool, Stop> {
        self.in_condition += 1;
        let ran = self.list(list);
        self.in_condition -= 1;
        ran.map(|code| code == 0)
    }

    fn node(&mut self, node: &Node) -> Ran {
        match node {
            Node::Simple(simple) => self.simple(simple),
            Node::Pipeline { negated, stages } => {
                let code = match stages.as_slice() {
                    [only] => {
                        self.in_condition += 1;
                        let ran = self.node(&only.node);
                        self.in_condition -= 1;
                        ran?
                    }
                    stages => self.pipeline(stages)?,
                };
                Ok(if *negated { u8::from(code == 0) } else { code })
            }
            Node::Chain(first, more) => self.chain(first, more).map(|(code, _)| code),
            Node::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if self.condition(condition)? {
                        return self.body(body);
                    }
                }
                self.body(otherwise)
            }
            Node::While { until, condition, body } => {
                let mut code = 0;
                while self.condition(condition)? != *until {
                    match self.pass(body)? {
                        Some(last) => code = last,
                        None => break,
                    }
                }
                Ok(code)
            }
            Node::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.fields(words)?,
                    None => self.arguments.clone(),
                };
                let mut code = 0;
                for value in values {
                    self.set(name, &value);
                    match self.pass(body)? {
                        Some(last) => code = last,
                        None => break,
                    }
                }
                Ok(code)
            }
            Node::Case { subject, arms } => {
                let subject = self.text(subject)?;
                for (patterns, body) in arms {
                    for pattern in patterns {
                        if tools::pattern::fits(&self.text(pattern)?, &subject) {
                            return self.body(body);
                        }
                    }
                }
                Ok(0)
            }
            Node::Subshell(text) => self.process(self.subshell(text)),
            Node::Group(list) => self.body(list),
            Node::Function { name, body, text } => {
                self.functions.insert(name.clone(), ((**body).clone(), text.clone()));
                Ok(0)
            }
            Node::Redirected(text, redirects) => self.redirected(text, redirects),
        }
    }

    /// One pass of a loop; `None` when it was the last.
    fn pass(&mut self, body: &List) -> Result<Option<u8>, Stop> {
        self.loops += 1;
        let ran = self.body(body);
        self.loops -= 1;
        match ran {
            Ok(code) => Ok(Some(code)),
            Err(Stop::Break(1)) => Ok(None),
            Err(Stop::Continue(1)) => Ok(Some(0)),
            Err(Stop::Break(levels)) => Err(Stop::Break(levels.saturating_sub(1))),
            Err(Stop::Continue(levels)) => Err(Stop::Continue(levels.saturating_sub(1))),
            Err(other) => Err(other),
        }
    }

    fn body(&mut self, list: &List) -> Ran {
        if list.is_empty() { Ok(0) } else { self.list(list) }
    }

    /// A compound command with redirections becomes a process, whose streams can be set.
    fn redirected(&mut self, text: &str, redirects: &[Redirect]) -> Ran {
        let Some(streams) = self.streams(redirects)? else { return Ok(1) };
        let mut command = self.subshell(text);
        let text = streams.apply(&mut command);
        self.feed(command, text)
    }

    fn pipeline(&mut self, stages: &[Stage]) -> Ran {
        let mut children = Vec::with_capacity(stages.len());
        let failed = self.start(stages, &mut children);
        let mut code = 0;
        for child in children {
            code = wait(child).unwrap_or(CANNOT_START);
        }
        Ok(failed?.unwrap_or(code))
    }

    /// Starts the processes of a pipeline. Where one can't be started: the exit code; those before it find their output closed.
    fn start(&mut self, stages: &[Stage], children: &mut Vec<Child>) -> Result<Option<u8>, Stop> {
        let mut from: Option<Stdio> = None;
        for (index, stage) in stages.iter().enumerate() {
            let mut text = None;
            let mut command = match &stage.node {
                Node::Simple(simple) if self.is_plain(simple) => {
                    let words = self.fields(&simple.words)?;
                    let Some(streams) = self.streams(&simple.redirects)? else { return Ok(Some(1)) };
                    let mut command = self.launch.command(&words, &self.files);
                    self.environment(&mut command, &simple.assignments)?;
                    if let Some(from) = from.take() {
                        command.stdin(from);
                    }
                    let last = index + 1 == stages.len();
                    if !last {
                        command.stdout(Stdio::piped());
                    }
                    text = streams.apply(&mut command);
                    command
                }
                _ => {
                    let mut command = self.subshell(&stage.text);
                    if let Some(from) = from.take() {
                        command.stdin(from);
                    }
                    if index + 1 < stages.len() {
                        command.stdout(Stdio::piped());
                    }
                    command
                }
            };
            if text.is_some() {
                command.stdin(Stdio::piped());
            }
            match command.spawn() {
                Ok(mut child) => {
                    write_input(&mut child, text);
                    from = child.stdout.take().map(Stdio::from);
                    children.push(child);
                }
                Err(error) => {
                    complain(&error);
                    return Ok(Some(CANNOT_START));
                }
            }
        }
        Ok(None)
    }

    /// Whether a command is a process of its own, and needs nothing of the shell but its words.
    fn is_plain(&self, simple: &Simple) -> bool {
        let name = match simple.words.first().map(Vec::as_slice) {
            Some([super::syntax::Piece::Text { text, .. }]) => text.as_str(),
            _ => return false,
        };
        !BUILTINS.contains(&name) && !self.functions.contains_key(name)
    }

    fn simple(&mut self, simple: &Simple) -> Ran {
        let words = self.fields(&simple.words)?;
        if self.trace && !words.is_empty() {
            let _ = writeln!(io::stderr(), "+ {}", words.join(" "));
        }
        let Some((name, arguments)) = words.split_first() else {
            self.status = 0;
            for (name, value) in &simple.assignments {
                let value = self.text(value)?;
                self.set(name, &value);
            }
            return match self.streams(&simple.redirects)? {
                // An assignment's exit code is that of the command in it.
                Some(_) => Ok(self.status),
                None => Ok(1),
            };
        };
        let Some(streams) = self.streams(&simple.redirects)? else { return Ok(1) };
        // `command NAME` is NAME, whatever functions there are; with `-v` it only tells of it.
        let by_command = |word: &&String| name == "command" && !word.starts_with('-');
        let (name, arguments) = match arguments.split_first().filter(|(first, _)| by_command(first)) {
            Some(named) => named,
            None => {
                if let Some((function, _)) = self.functions.get(name).cloned() {
                    return self.function(&function, arguments, &simple.assignments, streams);
                }
                (name, arguments)
            }
        };
        if BUILTINS.contains(&name.as_str()) {
            for (name, value) in &simple.assignments {
                let value = self.text(value)?;
                self.set(name, &value);
            }
            return self.builtin(name, arguments, streams);
        }
        if !tools::is_known(name) {
            complain(&tools::unknown(name));
            return Ok(tools::NOT_FOUND);
        }
        let words: Vec<String> = std::iter::once(name).chain(arguments).cloned().collect();
        let mut command = self.launch.command(&words, &self.files);
        self.environment(&mut command, &simple.assignments)?;
        let text = streams.apply(&mut command);
        self.feed(command, text)
    }

    /// Calls a function: with arguments, variables and streams of its own, which end with it.
    fn function(
        &mut self,
        body: &Node,
        arguments: &[String],
        assignments: &[(String, super::syntax::Word)],
        streams: Streams,
    ) -> Ran {
        if self.calls >= CALLS {
            complain(&"functions call each other too deeply");
            return Err(Stop::Exit(2));
        }
        let mut values = Vec::with_capacity(assignments.len());
        for (name, value) in assignments {
            values.push((name, self.text(value)?));
        }
        let streams = match streams.swap() {
            Ok(before) => before,
            Err(error) => {
                complain(&error);
                return Ok(CANNOT_START);
            }
        };
        self.calls += 1;
        self.hidden.push(Vec::new());
        for (name, value) in values {
            self.hide(name);
            self.set(name, &value);
            self.exported.insert(name.clone());
        }
        let before = std::mem::replace(&mut self.arguments, arguments.to_vec());
        let loops = std::mem::take(&mut self.loops);
        let ran = self.node(body);
        self.loops = loops;
        self.arguments = before;
        for (name, value, exported) in self.hidden.pop().into_iter().flatten().rev() {
            match value {
                Some(value) => self.variables.insert(name.clone(), value),
                None => self.variables.remove(&name),
            };
            if exported {
                self.exported.insert(name);
            } else {
                self.exported.remove(&name);
            }
        }
        self.calls -= 1;
        if let Err(error) = streams.swap() {
            complain(&error);
        }
        match ran {
            Err(Stop::Return) => Ok(self.status),
            other => other,
        }
    }

    /// Keeps a variable as it is for the end of the function that runs. Outside of functions there is nothing to hide it from.
    fn hide(&mut self, name: &str) {
        let was = (name.to_owned(), self.variables.get(name).cloned(), self.exported.contains(name));
        if let Some(hidden) = self.hidden.last_mut() {
            hidden.push(was);
        }
    }

    fn environment(
        &mut self,
        command: &mut Command,
        assignments: &[(String, super::syntax::Word)],
    ) -> Result<(), Stop> {
        command.env_clear();
        if let Some(root) = std::env::var_os(tools::files::ROOT_VARIABLE) {
            command.env(tools::files::ROOT_VARIABLE, root);
        }
        let exported = self.variables.iter().filter(|(name, _)| self.exported.contains(*name));
        command.envs(exported).env("PWD", self.files.working());
        for (name, value) in assignments {
            let value = self.text(value)?;
            command.env(name, value);
        }
        Ok(())
    }

    /// A process that runs a text with all variables of this shell.
    pub(super) fn subshell(&self, text: &str) -> Command {
        let mut arguments = vec!["sh".to_owned()];
        if self.exit_on_error {
            arguments.push("-e".to_owned());
        }
        let definitions: String = self.functions.values().map(|(_, text)| format!("{text}\n")).collect();
        arguments.extend(["-c".to_owned(), format!("{definitions}{text}"), self.name.clone()]);
        arguments.extend(self.arguments.iter().cloned());
        let mut command = self.launch.command(&arguments, &self.files);
        command.envs(&self.variables).env("PWD", self.files.working());
        command
    }

    fn start_in_background(&mut self, text: &str) -> Result<(), Stop> {
        self.background.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        if self.background.len() >= BACKGROUND {
            complain(&"too many processes in the background");
            return Err(Stop::Exit(2));
        }
        match self.subshell(text).stdin(Stdio::null()).spawn() {
            Ok(child) => {
                self.last_background = Some(child.id());
                self.background.push(child);
                self.status = 0;
            }
            Err(error) => {
                complain(&error);
                self.status = CANNOT_START;
            }
        }
        Ok(())
    }

    fn process(&self, command: Command) -> Ran {
        self.feed(command, None)
    }

    fn feed(&self, mut command: Command, text: Option<String>) -> Ran {
        if text.is_some() {
            command.stdin(Stdio::piped());
        }
        let ran = command.spawn().and_then(|mut child| {
            write_input(&mut child, text);
            wait(child)
        });
        Ok(ran.unwrap_or_else(|error| {
            complain(&error);
            CANNOT_START
        }))
    }

    /// Opens what redirections name; `None` where that fails, which was said.
    fn streams(&mut self, redirects: &[Redirect]) -> Result<Option<Streams>, Stop> {
        let mut streams = Streams::default();
        for Redirect { descriptor, target } in redirects {
            let opened = match target {
                Target::Read(word) => {
                    let path = self.text(word)?;
                    self.files.open(&path).map(|file| (path, Source::File(file)))
                }
                Target::Text(word) => Ok((String::new(), Source::Text(self.text(word)?))),
                Target::Write(word) | Target::Append(word) => {
                    let path = self.text(word)?;
                    let append = matches!(target, Target::Append(_));
                    self.files.create(&path, append).map(|file| (path, Source::File(file)))
                }
                Target::Same(other) => {
                    let file = match (other, &streams) {
                        (1, Streams { out: Some(file), .. }) | (2, Streams { err: Some(file), .. }) => file.try_clone(),
                        (1, _) => duplicate(io::stdout()),
                        (2, _) => duplicate(io::stderr()),
                        _ => Err(io::ErrorKind::InvalidInput.into()),
                    };
                    file.map(|file| (other.to_string(), Source::File(file)))
                }
            };
            match opened {
                Ok((_, source)) => match (descriptor, source) {
                    (0, source) => streams.input = Some(source),
                    (1, Source::File(file)) => streams.out = Some(file),
                    (_, Source::File(file)) => streams.err = Some(file),
                    (_, Source::Text(_)) => {}
                },
                Err(error) => {
                    complain(&format_args!("cannot open: {error}"));
                    self.status = 1;
                    return Ok(None);
                }
            }
        }
        Ok(Some(streams))
    }

    fn builtin(&mut self, name: &str, arguments: &[String], streams: Streams) -> Ran {
        let first = arguments.first().map(String::as_str);
        let number = |default: u32| first.and_then(|word| word.parse().ok()).unwrap_or(default);
        match name {
            "exit" => Err(Stop::Exit(code_of(first, self.status))),
            "return" => {
                self.status = code_of(first, self.status);
                Err(Stop::Return)
            }
            // There is nothing to leave.
            "break" | "continue" if self.loops == 0 => Ok(0),
            "break" => Err(Stop::Break(number(1).clamp(1, self.loops))),
            "continue" => Err(Stop::Continue(number(1).clamp(1, self.loops))),
            "cd" => {
                let home = self.variable("HOME").unwrap_or_else(|| "/".to_owned());
                match self.files.enter(first.unwrap_or(&home)) {
                    Ok(()) => Ok(0),
                    Err(error) => {
                        complain(&format_args!("cd: {}: {error}", first.unwrap_or(&home)));
                        Ok(1)
                    }
                }
            }
            kind @ ("export" | "readonly" | "local" | "declare") => {
                for word in arguments.iter().filter(|word| !word.starts_with('-')) {
                    let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
                    if !is_name(name) {
                        complain(&format_args!("{kind}: {name}: bad variable name"));
                        return Ok(1);
                    }
                    if kind == "local" {
                        self.hide(name);
                    }
                    match value {
                        Some(value) => self.set(name, value),
                        None if kind == "local" => {
                            self.variables.remove(name);
                        }
                        None => {}
                    }
                    if matches!(arguments.first(), Some(first) if first == "-x") || !matches!(kind, "local" | "declare")
                    {
                        self.exported.insert(name.to_owned());
                    }
                }
                Ok(0)
            }
            "unset" => {
                for word in arguments {
                    self.variables.remove(word);
                    self.exported.remove(word);
                    self.functions.remove(word);
                }
                Ok(0)
            }
            "set" => {
                self.options(arguments);
                Ok(0)
            }
            "shift" => {
                let count = usize::try_from(number(1)).unwrap_or(usize::MAX).min(self.arguments.len());
                self.arguments.drain(..count);
                Ok(0)
            }
            "read" => self.read(arguments, streams),
            "eval" => match super::parse::script(&arguments.join(" ")) {
                Ok(list) => self.list(&list),
                Err(error) => {
                    complain(&error);
                    Ok(super::SYNTAX)
                }
            },
            "exec" => {
                if arguments.is_empty() {
                    // From here on they are the shell's own.
                    return Ok(streams.swap().map_or_else(
                        |error| {
                            complain(&error);
                            CANNOT_START
                        },
                        |_before| 0,
                    ));
                }
                let mut command = self.launch.command(arguments, &self.files);
                self.environment(&mut command, &[])?;
                let text = streams.apply(&mut command);
                self.feed(command, text).and_then(|code| Err(Stop::Exit(code)))
            }
            "wait" => {
                let mut code = 0;
                for child in std::mem::take(&mut self.background) {
                    code = wait(child).unwrap_or(CANNOT_START);
                }
                Ok(if first.is_some() { code } else { 0 })
            }
            "." | "source" => {
                let text = std::fs::read_to_string(self.files.outside(first.unwrap_or_default()));
                match text
                    .map_err(|error| error.to_string())
                    .and_then(|text| super::parse::script(&text).map_err(|error| error.to_string()))
                {
                    Ok(list) => self.list(&list),
                    Err(error) => {
                        complain(&error);
                        Ok(1)
                    }
                }
            }
            "trap" | "ulimit" | "umask" => Ok(0),
            _ => self.in_process(name, arguments, streams),
        }
    }

    fn options(&mut self, arguments: &[String]) {
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            let on = match first.chars().next() {
                Some('-') => true,
                Some('+') => false,
                _ => break,
            };
            rest = after;
            match first.get(1..) {
                Some("-") => {
                    self.arguments = rest.to_vec();
                    return;
                }
                Some("o") => rest = rest.get(1..).unwrap_or_default(),
                Some(letters) => {
                    for letter in letters.chars() {
                        match letter {
                            'e' => self.exit_on_error = on,
                            'x' => self.trace = on,
                            'u' => self.refuse_unset = on,
                            _ => {}
                        }
                    }
                }
                None => {}
            }
        }
        if !rest.is_empty() {
            self.arguments = rest.to_vec();
        }
    }

    fn read(&mut self, arguments: &[String], streams: Streams) -> Ran {
        let names: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
        let line = match streams.input {
            Some(Source::File(file)) => first_line(file),
            Some(Source::Text(text)) => Ok(text.lines().next().map(str::to_owned)),
            // Byte by byte: what follows the line belongs to the next command.
            None => duplicate(io::stdin()).and_then(first_line),
        };
        let Ok(Some(line)) = line else { return Ok(1) };
        let mut rest = line.trim();
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let (word, after) = match rest.split_once(|c: char| c.is_ascii_whitespace()) {
                Some((word, after)) if !last => (word, after.trim_start()),
                _ => (rest, ""),
            };
            self.set(name, word);
            rest = after;
        }
        if names.is_empty() {
            self.set("REPLY", &line);
        }
        Ok(0)
    }

    /// Commands that are too small for a process.
    fn in_process(&self, name: &str, arguments: &[String], streams: Streams) -> Ran {
        let mut words = vec![name.to_owned()];
        words.extend_from_slice(arguments);
        let (mut out, mut err): (Box<dyn Write>, Box<dyn Write>) = (
            streams.out.map_or_else(|| Box::new(io::stdout()) as _, |file| Box::new(file) as _),
            streams.err.map_or_else(|| Box::new(io::stderr()) as _, |file| Box::new(file) as _),
        );
        let mut input = BufReader::new(io::empty());
        let code = tools::dispatch(&words, &self.files, &self.launch, &mut input, &mut out, &mut err);
        match out.flush() {
            Ok(()) => Ok(code),
            Err(_) => Ok(tools::BROKEN_PIPE),
        }
    }
}

/// Commands that run in the shell itself.
const BUILTINS: [&str; 33] = [
    ":", "[", "test", "true", "false", "echo", "printf", "pwd", "exit", "return", "break", "continue", "cd", "export",
    "readonly", "local", "declare", "unset", "set", "shift", "read", "eval", "exec", "wait", ".", "source", "trap",
    "ulimit", "umask", "command", "which", "hostname", "whoami",
];

impl Streams {
    /// Makes these the streams of this very process; what they were before.
    fn swap(self) -> io::Result<Self> {
        io::stdout().flush()?;
        let mut before = Self::default();
        if let Some(input) = self.input {
            before.input = Some(Source::File(duplicate(io::stdin())?));
            nix::unistd::dup2_stdin(input.open()?)?;
        }
        if let Some(out) = self.out {
            before.out = Some(duplicate(io::stdout())?);
            nix::unistd::dup2_stdout(out)?;
        }
        if let Some(err) = self.err {
            before.err = Some(duplicate(io::stderr())?);
            nix::unistd::dup2_stderr(err)?;
        }
        Ok(before)
    }

    /// Sets the streams of a process; the text that it is to read, if any.
    fn apply(self, command: &mut Command) -> Option<String> {
        if let Some(out) = self.out {
            command.stdout(out);
        }
        if let Some(err) = self.err {
            command.stderr(err);
        }
        match self.input {
            Some(Source::File(file)) => {
                command.stdin(file);
                None
            }
            Some(Source::Text(text)) => Some(text),
            None => None,
        }
    }
}

impl Source {
    fn open(self) -> io::Result<std::fs::File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Text(text) => {
                let (reader, writer) = io::pipe()?;
                write_text(writer, text);
                Ok(std::fs::File::from(std::os::fd::OwnedFd::from(reader)))
            }
        }
    }
}

/// Writes a here-document: it may be larger than a pipe, and its reader may not care for it.
fn write_text(mut to: impl Write + Send + 'static, text: String) {
    let _writer = std::thread::Builder::new().spawn(move || to.write_all(text.as_bytes()));
}

fn write_input(child: &mut Child, text: Option<String>) {
    if let (Some(text), Some(stdin)) = (text, child.stdin.take()) {
        write_text(stdin, text);
    }
}

fn duplicate(stream: impl std::os::fd::AsFd) -> io::Result<std::fs::File> {
    Ok(std::fs::File::from(stream.as_fd().try_clone_to_owned()?))
}

fn first_line(mut input: impl io::Read) -> io::Result<Option<String>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        if input.read(&mut byte)? == 0 {
            let ended = line.is_empty();
            return Ok((!ended).then(|| String::from_utf8_lossy(&line).into_owned()));
        }
        if byte == *b"\n" {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        line.extend(byte);
    }
}

fn code_of(word: Option<&str>, default: u8) -> u8 {
    match word.and_then(|word| word.parse::<i64>().ok()) {
        Some(code) => u8::try_from(code & 0xff).unwrap_or(default),
        None => default,
    }
}

/// Whether a failure is what was asked for: `! command`.
const fn is_negated(node: &Node) -> bool {
    matches!(node, Node::Pipeline { negated: true, .. })
}
