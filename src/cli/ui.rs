//! What commands print: tables, JSON and YAML, colour, progress, and the name under which the program was started.
//!
//! Results go to standard output; progress, warnings and errors to standard error. Colour and cursor movements appear on a
//! terminal only, and not when `NO_COLOR` is set. A command whose result nobody reads any more ends, as if by SIGPIPE; one whose result
//! can't be written fails.

use std::io::{self, BufRead as _, IsTerminal, Read as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::yaml;

/// The longest answer to a question, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024;

/// Form of a command's result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An aligned table
    #[default]
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// How something is meant, and so how it is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Good news.
    Good,
    /// Something to look at.
    Attention,
    /// Bad news.
    Bad,
    /// Less important than its surroundings.
    Faint,
    /// More important than its surroundings.
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Attention => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// The terminal, or what stands in for it.
#[derive(Debug, Clone)]
pub struct Ui {
    program: String,
    colour_out: bool,
    colour_err: bool,
    interactive: bool,
    output: Arc<Output>,
}

/// What became of standard output.
#[derive(Debug, Default)]
struct Output {
    /// The command goes on when nobody reads any more.
    outlives_reader: AtomicBool,
    /// Why something was not written.
    failed: OnceLock<String>,
}

/// Exit code of a command whose reader went away: that of a process that SIGPIPE ended.
const READER_GONE: i32 = 141;

impl Ui {
    /// Looks at the environment and at what standard output and error are.
    pub fn new(program: impl Into<String>) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            program: program.into(),
            colour_out: wanted && io::stdout().is_terminal(),
            colour_err: wanted && io::stderr().is_terminal(),
            interactive: io::stdout().is_terminal() && io::stderr().is_terminal(),
            output: Arc::default(),
        }
    }

    /// For commands whose work is not what they print: they go on when nobody reads that any more.
    pub fn outlive_reader(&self) {
        self.output.outlives_reader.store(true, Ordering::Relaxed);
    }

    /// Whether all of the result was written; else why not.
    pub fn written(&self) -> CliResult {
        match self.output.failed.get() {
            None => Ok(()),
            Some(why) => Err(CliError::message(Kind::Io, format!("the result is incomplete: standard output: {why}"))),
        }
    }

    fn out(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) else { return };
        if error.kind() != io::ErrorKind::BrokenPipe {
            let _first = self.output.failed.set(error.to_string());
        } else if !self.output.outlives_reader.load(Ordering::Relaxed) {
            std::process::exit(READER_GONE);
        }
    }

    /// The program as it was started, for commands that are suggested.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Whether somebody is watching.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// `text`, coloured where standard output shows colour.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_out, tone, text)
    }

    /// `text`, coloured where standard error shows colour.
    pub fn paint_note(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_err, tone, text)
    }

    /// Whether somebody can be asked.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks; the answer is a line, empty when there is none.
    pub fn ask(&self, question: &str) -> String {
        let _ = write!(io::stderr().lock(), "{question}");
        let mut answer = String::new();
        let _ = io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut answer);
        answer
    }

    /// Prints text of the result as it is.
    pub fn text(&self, text: &str) {
        self.out(text.as_bytes());
    }

    /// Prints that something is done: `✓ text`.
    pub fn done(&self, text: impl AsRef<str>) {
        self.line(format!("{} {}", self.paint(Tone::Good, "✓"), text.as_ref()));
    }

    /// Prints a line of the result.
    pub fn line(&self, text: impl AsRef<str>) {
        self.out(format!("{}\n", text.as_ref()).as_bytes());
    }

    /// Prints `text` in the place of what was printed last this way, `drawn` lines high; returns its own height. A line that the
    /// terminal has no room for is cut, because a line that wraps would be counted wrong.
    pub fn redraw(&self, text: &str, drawn: usize) -> usize {
        let width = terminal_size::terminal_size().map_or(usize::MAX, |(width, _)| usize::from(width.0));
        let mut out = String::new();
        if drawn > 0 {
            // Up to the first line, and everything below it cleared.
            out.push_str(&format!("\x1b[{drawn}A\x1b[J"));
        }
        for line in text.lines() {
            out.extend(line.chars().take(width));
            out.push('\n');
        }
        self.out(out.as_bytes());
        text.lines().count()
    }

    /// Prints a line beside the result.
    pub fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Prints a warning.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.note(format!("{} {}", paint(self.colour_err, Tone::Attention, "warning:"), text.as_ref()));
    }

    /// Prints an error.
    pub fn error(&self, text: impl AsRef<str>) {
        self.note(format!("{} {}", paint(self.colour_err, Tone::Bad, "error:"), text.as_ref()));
    }

    /// Prints a value as JSON or YAML.
    pub fn structured(&self, format: Format, value: &impl Serialize) -> CliResult {
        let value = serde_json::to_value(value).kind(Kind::Io)?;
        let text = match format {
            Format::Yaml => yaml::to_string(&value),
            Format::Json | Format::Table => serde_json::to_string_pretty(&value).kind(Kind::Io)? + "\n",
        };
        self.out(text.as_bytes());
        Ok(())
    }

    /// Starts to say what is being waited for.
    pub fn progress(&self, message: impl Into<String>) -> Progress {
        let message = message.into();
        let bar = ProgressBar::new_spinner();
        if self.interactive {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:>4}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_message(message);
        Progress { bar }
    }
}

/// Something that is under way; it disappears when dropped.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Says what is being waited for now.
    pub fn update(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Does `work`, which prints, out of the way of what is drawn.
    pub fn pause(&self, work: impl FnOnce()) {
        self.bar.suspend(work);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn paint(enabled: bool, tone: Tone, text: &str) -> String {
    if enabled { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

/// A table without borders, as kubectl prints them.
pub fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    aligned(headings.map(str::to_owned).to_vec(), rows.into_iter().map(Vec::from))
}

/// Rows of as many cells each, aligned like [`table`]; the first row is the headings.
pub fn rows_of_text(rows: &[Vec<String>]) -> String {
    rows.split_first().map_or_else(String::new, |(headings, rows)| aligned(headings.clone(), rows.iter().cloned()))
}

/// Stands for a colour's escape while a table is laid out: a character that takes no room.
const ESCAPE: char = '\u{200b}';

fn aligned(headings: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut escapes = Vec::new();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| without_escapes(cell, &mut escapes)).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let mut escapes = escapes.into_iter();
    let mut text = String::new();
    for line in table.lines() {
        for c in line.trim_end().chars() {
            match c {
                ESCAPE => text.push_str(&escapes.next().unwrap_or_default()),
                c => text.push(c),
            }
        }
        text.push('\n');
    }
    text
}

/// The cell with [`ESCAPE`] in the place of each of its colours' escapes, which are added to `escapes`.
fn without_escapes(cell: &str, escapes: &mut Vec<String>) -> String {
    let mut plain = String::with_capacity(cell.len());
    let mut rest = cell.chars().filter(|c| *c != ESCAPE);
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            plain.push(c);
            continue;
        }
        let mut escape = String::from(c);
        for c in rest.by_ref() {
            escape.push(c);
            if c == 'm' {
                break;
            }
        }
        escapes.push(escape);
        plain.push(ESCAPE);
    }
    plain
}

/// A unified diff of two texts under the name of what they are, coloured where standard output shows colour.
pub fn diff(ui: &Ui, name: &str, before: &str, after: &str) -> String {
    let compared = similar::TextDiff::from_lines(before, after);
    let text = compared
        .unified_diff()
        .context_radius(3)
        .header(&format!("{name} (before)"), &format!("{name} (after)"))
        .to_string();
    let mut painted = String::new();
    for line in text.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Faint),
            _ => None,
        };
        painted.push_str(&tone.map_or_else(|| line.to_owned(), |tone| ui.paint(tone, line)));
        painted.push('\n');
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room_in_a_table() {
        let good = paint(true, Tone::Good, "yes");
        let rows = [[good.clone(), "a".to_owned()], ["never".to_owned(), paint(true, Tone::Bad, "b")]];
        let bad = paint(true, Tone::Bad, "b");
        assert_eq!(table(["READY", "NAME"], rows), format!("READY   NAME\n{good}     a\nnever   {bad}\n"));
    }

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let rows = [["reviews".to_owned(), "v1".to_owned()], ["productpage".to_owned(), "v1".to_owned()]];
        assert_eq!(table(["SERVICE", "VERSION"], rows), "SERVICE       VERSION\nreviews       v1\nproductpage   v1\n");
    }
}
