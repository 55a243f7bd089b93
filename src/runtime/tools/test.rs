//! `test` and `[`.

use std::fs;
use std::io;

use super::{Call, Files};

/// What `test` answers to a question that makes no sense.
const NONSENSE: u8 = 2;

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let mut words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    if call.name == "[" && words.pop() != Some("]") {
        return call.usage(NONSENSE, "missing ]");
    }
    match either(&words, call.files) {
        Ok(true) => Ok(0),
        Ok(false) => Ok(1),
        Err(problem) => call.usage(NONSENSE, problem),
    }
}

fn either(words: &[&str], files: &Files) -> Result<bool, String> {
    match words.iter().position(|word| *word == "-o") {
        Some(at) if at > 0 => {
            let (left, right) = (words.get(..at).unwrap_or_default(), words.get(at + 1..).unwrap_or_default());
            Ok(both(left, files)? || either(right, files)?)
        }
        _ => both(words, files),
    }
}

fn both(words: &[&str], files: &Files) -> Result<bool, String> {
    match words.iter().position(|word| *word == "-a") {
        Some(at) if at > 0 => {
            let (left, right) = (words.get(..at).unwrap_or_default(), words.get(at + 1..).unwrap_or_default());
            Ok(one(left, files)? && both(right, files)?)
        }
        _ => one(words, files),
    }
}

fn one(words: &[&str], files: &Files) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text:?} is no number"));
    let about = |path: &str| fs::metadata(files.outside(path)).ok();
    Ok(match words {
        [] => false,
        [word] => !word.is_empty(),
        ["!", rest @ ..] => !one(rest, files)?,
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        ["-e" | "-r" | "-w", path] => about(path).is_some(),
        ["-x", path] => about(path).is_some() || super::is_known(path),
        ["-f", path] => about(path).is_some_and(|found| found.is_file()),
        ["-d", path] => about(path).is_some_and(|found| found.is_dir()),
        ["-s", path] => about(path).is_some_and(|found| found.len() > 0),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => number(left)? == number(right)?,
        [left, "-ne", right] => number(left)? != number(right)?,
        [left, "-lt", right] => number(left)? < number(right)?,
        [left, "-le", right] => number(left)? <= number(right)?,
        [left, "-gt", right] => number(left)? > number(right)?,
        [left, "-ge", right] => number(left)? >= number(right)?,
        other => return Err(format!("cannot read {:?}", other.join(" "))),
    })
}
