//! Small commands about text.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::list::flags;
use super::{Call, Files};

/// Longest line that is kept whole; input without an end of line does not fill the memory.
const LINE: u64 = 1 << 20;
/// How often a file that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(100);
/// Most that is held of input that has to be read whole (`sort`, `tail`).
const WHOLE: u64 = 64 << 20;

pub(super) fn echo(call: &mut Call<'_>) -> io::Result<u8> {
    let (mut newline, mut escapes) = (true, false);
    let mut rest = call.args;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "-n" => newline = false,
            "-e" => escapes = true,
            "-ne" | "-en" => (newline, escapes) = (false, true),
            "-E" => escapes = false,
            _ => break,
        }
        rest = after;
    }
    let text = rest.join(" ");
    call.out.write_all(&if escapes { unescape(&text) } else { text.into_bytes() })?;
    if newline {
        call.out.write_all(b"\n")?;
    }
    Ok(0)
}

/// What backslash sequences stand for.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let plain = match rest.next() {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('a') => 7,
            Some('b') => 8,
            Some('e') => 27,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('0') => {
                let digits: String = rest.clone().take_while(|c| ('0'..='7').contains(c)).take(3).collect();
                for _ in 0..digits.len() {
                    rest.next();
                }
                u8::from_str_radix(&digits, 8).unwrap_or(0)
            }
            Some('x') => {
                let digits: String = rest.clone().take_while(char::is_ascii_hexdigit).take(2).collect();
                for _ in 0..digits.len() {
                    rest.next();
                }
                u8::from_str_radix(&digits, 16).unwrap_or(b'x')
            }
            Some(other) => {
                out.push(b'\\');
                out.extend(other.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
            None => b'\\',
        };
        out.push(plain);
    }
    out
}

pub(super) fn printf(call: &mut Call<'_>) -> io::Result<u8> {
    let Some((format, mut args)) = call.args.split_first() else { return call.usage(2, "missing operand") };
    loop {
        let before = args.len();
        let mut rest = format.as_str();
        while let Some(at) = rest.find('%') {
            let (text, directive) = rest.split_at(at);
            call.out.write_all(&unescape(text))?;
            let end = directive.char_indices().skip(1).find(|(_, c)| c.is_alphabetic() || *c == '%');
            let Some((end, kind)) = end else {
                call.out.write_all(directive.as_bytes())?;
                rest = "";
                break;
            };
            let width = directive.get(1..end).unwrap_or_default();
            rest = directive.get(end + kind.len_utf8()..).unwrap_or_default();
            if kind == '%' {
                call.out.write_all(b"%")?;
                continue;
            }
            let argument = match args.split_first() {
                Some((first, after)) => {
                    args = after;
                    first.as_str()
                }
                None => "",
            };
            write_directive(call.out, kind, width, argument)?;
        }
        call.out.write_all(&unescape(rest))?;
        if args.is_empty() || args.len() == before {
            return Ok(0);
        }
    }
}

fn write_directive(out: &mut dyn Write, kind: char, width: &str, argument: &str) -> io::Result<()> {
    let (left, width) = match width.strip_prefix('-') {
        Some(width) => (true, width),
        None => (false, width),
    };
    let zero = width.starts_with('0');
    let (width, precision) = match width.split_once('.') {
        Some((width, precision)) => (width, precision.parse::<usize>().ok()),
        None => (width, None),
    };
    let width = width.parse::<usize>().unwrap_or(0).min(4096);
    let number = || argument.trim().parse::<i64>().unwrap_or(0);
    let shown = match kind {
        'd' | 'i' | 'u' => number().to_string(),
        'x' => format!("{:x}", number()),
        'f' => format!("{:.*}", precision.unwrap_or(6).min(64), argument.trim().parse::<f64>().unwrap_or(0.0)),
        'b' => String::from_utf8_lossy(&unescape(argument)).into_owned(),
        'c' => argument.chars().take(1).collect(),
        _ => argument.chars().take(precision.unwrap_or(usize::MAX)).collect(),
    };
    match (left, zero && kind != 's') {
        (true, _) => write!(out, "{shown:<width$}"),
        (false, true) => write!(out, "{shown:0>width$}"),
        (false, false) => write!(out, "{shown:>width$}"),
    }
}

/// Calls `each` with every input: the files that are named, `-` for standard input, which is also what is read where none is.
fn inputs(
    call: &mut Call<'_>,
    paths: &[String],
    mut each: impl FnMut(&str, &mut dyn BufRead, &mut dyn Write) -> io::Result<bool>,
) -> io::Result<u8> {
    let mut code = 0;
    if paths.is_empty() {
        each("-", call.input, call.out)?;
    }
    for path in paths {
        let go_on = if path == "-" {
            each("-", call.input, call.out)?
        } else {
            match open(call.files, path) {
                Ok(mut file) => each(path, &mut file, call.out)?,
                Err(error) => {
                    let problem = match error.kind() {
                        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
                        io::ErrorKind::IsADirectory => "Is a directory".to_owned(),
                        _ => error.to_string(),
                    };
                    writeln!(call.err, "{}: {path}: {problem}", call.name)?;
                    code = 1;
                    true
                }
            }
        };
        if !go_on {
            break;
        }
    }
    Ok(code)
}

fn open(files: &Files, path: &str) -> io::Result<BufReader<std::fs::File>> {
    let file = files.open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(BufReader::new(file))
}

/// The next line with its end, cut where it is endless; `false` at the end of the input.
fn line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input.take(LINE).read_until(b'\n', line)? > 0)
}

pub(super) fn cat(call: &mut Call<'_>) -> io::Result<u8> {
    let (_, paths) = flags(call.args);
    inputs(call, paths, |_, input, out| {
        loop {
            let length = {
                let chunk = input.fill_buf()?;
                out.write_all(chunk)?;
                chunk.len()
            };
            if length == 0 {
                return Ok(true);
            }
            input.consume(length);
            // What arrives slowly is passed on as it comes.
            out.flush()?;
        }
    })
}

/// `-n 5`, `-n5` or `-5`: the number, and what is left of the arguments.
fn count(args: &[String]) -> Option<(i64, Vec<String>)> {
    let (mut count, mut paths) = (10, Vec::new());
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            Some("n" | "c") => count = rest.next()?.trim_start_matches('+').parse().ok()?,
            Some("f" | "q" | "F") => {}
            Some(given) if !given.is_empty() => count = given.trim_start_matches(['n', 'c']).parse().ok()?,
            _ => paths.push(word.clone()),
        }
    }
    Some((count, paths))
}

pub(super) fn head(call: &mut Call<'_>) -> io::Result<u8> {
    let Some((count, paths)) = count(call.args) else { return call.usage(1, "invalid number of lines") };
    let bytes = call.args.iter().any(|word| word.starts_with("-c"));
    inputs(call, &paths, |_, input, out| {
        if bytes {
            io::copy(&mut input.take(count.unsigned_abs()), out)?;
            return Ok(true);
        }
        let mut text = Vec::new();
        for _ in 0..count.max(0) {
            if !line(input, &mut text)? {
                break;
            }
            out.write_all(&text)?;
        }
        Ok(true)
    })
}

pub(super) fn tail(call: &mut Call<'_>) -> io::Result<u8> {
    let from_start = call.args.iter().any(|word| word.starts_with('+'));
    let follow = call.args.iter().any(|word| matches!(word.as_str(), "-f" | "-F"));
    let Some((count, paths)) = count(call.args) else { return call.usage(1, "invalid number of lines") };
    let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let code = inputs(call, &paths, |_, input, out| {
        let mut text = Vec::new();
        input.take(WHOLE).read_to_end(&mut text)?;
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let skip = if from_start { count.saturating_sub(1) } else { lines.len().saturating_sub(count) };
        for line in lines.iter().skip(skip) {
            out.write_all(line)?;
        }
        out.flush()?;
        Ok(true)
    })?;
    match paths.last().filter(|path| follow && *path != "-") {
        Some(path) => keep_reading(call, path),
        // Standard input was read to its end.
        None => Ok(code),
    }
}

/// Passes on what is appended to a file, for as long as it is let; a file that became shorter is read anew.
fn keep_reading(call: &mut Call<'_>, path: &str) -> io::Result<u8> {
    let mut read = call.files.open(path).and_then(|mut file| file.seek(SeekFrom::End(0))).unwrap_or(0);
    loop {
        if let Ok(mut file) = call.files.open(path)
            && let Ok(about) = file.metadata()
            && about.is_file()
        {
            read = if about.len() < read { 0 } else { read };
            file.seek(SeekFrom::Start(read))?;
            read += io::copy(&mut file, call.out)?;
            call.out.flush()?;
        }
        std::thread::sleep(FOLLOW);
    }
}

pub(super) fn wc(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    inputs(call, paths, |path, input, out| {
        let (mut lines, mut words, mut bytes) = (0_u64, 0_u64, 0_u64);
        let mut text = Vec::new();
        while line(input, &mut text)? {
            lines += u64::from(text.ends_with(b"\n"));
            words += String::from_utf8_lossy(&text).split_whitespace().count() as u64;
            bytes += text.len() as u64;
        }
        let all = [('l', lines), ('w', words), ('c', bytes)];
        let shown: Vec<String> = all
            .iter()
            .filter(|(flag, _)| flags.is_empty() || flags.contains(*flag))
            .map(|(_, count)| count.to_string())
            .collect();
        let name = if path == "-" { String::new() } else { format!(" {path}") };
        writeln!(out, "{}{name}", shown.join(" "))?;
        Ok(true)
    })
}

pub(super) fn grep(call: &mut Call<'_>) -> io::Result<u8> {
    let (mut flags, mut pattern, mut paths) = (String::new(), None, Vec::new());
    let mut rest = call.args.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-e" | "--regexp" => pattern = rest.next().cloned(),
            "-m" | "-A" | "-B" | "-C" => {
                let number = rest.next().cloned().unwrap_or_default();
                if word != "-m" {
                    return call.usage(2, format_args!("{word} {number} is not built in"));
                }
                flags.push('m');
            }
            long if long.starts_with("--") => {}
            given if given.len() > 1 && given.starts_with('-') && pattern.is_none() => flags.push_str(&given[1..]),
            _ if pattern.is_none() => pattern = Some(word.clone()),
            _ => paths.push(word.clone()),
        }
    }
    let Some(pattern) = pattern else { return call.usage(2, "no pattern") };
    let pattern = match (call.name, flags.contains('F')) {
        ("fgrep", _) | (_, true) => regex::escape(&pattern),
        ("egrep", _) => pattern,
        _ if flags.contains(['E', 'P']) => pattern,
        _ => basic(&pattern),
    };
    let pattern = if flags.contains('w') { format!(r"\b(?:{pattern})\b") } else { pattern };
    let pattern = if flags.contains('x') { format!("^(?:{pattern})$") } else { pattern };
    let regex = regex::bytes::RegexBuilder::new(&pattern)
        .case_insensitive(flags.contains('i'))
        .unicode(false)
        .size_limit(1 << 20)
        .build();
    let regex = match regex {
        Ok(regex) => regex,
        Err(error) => return call.usage(2, error),
    };
    let (mut total, several, once) = (0_u64, paths.len() > 1, flags.contains('m'));
    let code = inputs(call, &paths, |path, input, out| {
        let (mut text, mut found, mut number) = (Vec::new(), 0_u64, 0_u64);
        while line(input, &mut text)? {
            number += 1;
            let bare = text.strip_suffix(b"\n").unwrap_or(&text);
            if regex.is_match(bare) == flags.contains('v') {
                continue;
            }
            found += 1;
            if flags.contains('q') {
                break;
            }
            if !flags.contains(['c', 'l']) {
                let name = if several && !flags.contains('h') { format!("{path}:") } else { String::new() };
                let at = if flags.contains('n') { format!("{number}:") } else { String::new() };
                let mut show = |part: &[u8]| -> io::Result<()> {
                    write!(out, "{name}{at}")?;
                    out.write_all(part)?;
                    out.write_all(b"\n")
                };
                if flags.contains('o') {
                    regex.find_iter(bare).try_for_each(|part| show(part.as_bytes()))?;
                } else {
                    show(bare)?;
                }
            }
            if once {
                break;
            }
        }
        if flags.contains('c') {
            let name = if several { format!("{path}:") } else { String::new() };
            writeln!(out, "{name}{found}")?;
        }
        if flags.contains('l') && found > 0 {
            writeln!(out, "{path}")?;
        }
        total += found;
        Ok(!(flags.contains('q') && found > 0))
    })?;
    Ok(match (code, total) {
        (0, 0) => 1,
        (0, _) => 0,
        _ => 2,
    })
}

/// A basic regular expression in the words of an extended one: there `+ ? { } ( ) |` are special only behind a backslash.
fn basic(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let (mut rest, mut in_class) = (pattern.chars().peekable(), false);
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(special @ ('+' | '?' | '{' | '}' | '(' | ')' | '|')) => out.push(special),
                Some(other) => out.extend(['\\', other]),
                None => out.push_str("\\\\"),
            },
            '[' if !in_class => {
                in_class = true;
                out.push(c);
                for leading in ['^', ']'] {
                    if rest.peek() == Some(&leading) {
                        rest.next();
                        out.push_str(if leading == ']' { "\\]" } else { "^" });
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            '+' | '?' | '{' | '}' | '(' | ')' | '|' if !in_class => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn lines_of(call: &mut Call<'_>, paths: &[String]) -> io::Result<Vec<String>> {
    let mut text = Vec::new();
    inputs(call, paths, |_, input, _| {
        input.take(WHOLE).read_to_end(&mut text)?;
        Ok(true)
    })?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

pub(super) fn sort(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let mut lines = lines_of(call, paths)?;
    if flags.contains('n') {
        let number = |line: &String| {
            let text = line.trim_start();
            let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
            text.get(..end).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
        };
        lines.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
    } else {
        lines.sort();
    }
    if flags.contains('r') {
        lines.reverse();
    }
    if flags.contains('u') {
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
    }
    lines.iter().try_for_each(|line| writeln!(call.out, "{line}"))?;
    Ok(0)
}

pub(super) fn uniq(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let lines = lines_of(call, paths)?;
    for run in lines.chunk_by(|a, b| a == b) {
        let Some(first) = run.first() else { continue };
        match (flags.contains('d'), flags.contains('c')) {
            (true, _) if run.len() < 2 => {}
            (_, true) => writeln!(call.out, "{:>7} {first}", run.len())?,
            _ => writeln!(call.out, "{first}")?,
        }
    }
    Ok(0)
}

/// A set of characters as `tr` reads it.
fn characters(text: &str) -> Vec<u8> {
    let text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9");
    let bytes = unescape(&text.replace("[:space:]", " \\t\\n\\r"));
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        match after {
            [b'-', last, after @ ..] if last >= first => {
                out.extend(*first..=*last);
                rest = after;
            }
            after => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

pub(super) fn tr(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, sets) = flags(call.args);
    let Some(from) = sets.first().map(|set| characters(set)) else { return call.usage(1, "missing operand") };
    let to = sets.get(1).map(|set| characters(set)).unwrap_or_default();
    let mut text = Vec::new();
    call.input.take(WHOLE).read_to_end(&mut text)?;
    let (delete, squeeze) = (flags.contains('d'), flags.contains('s'));
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text {
        let mapped = match from.iter().position(|wanted| *wanted == byte) {
            Some(_) if delete => continue,
            Some(at) => to.get(at).or(to.last()).copied().unwrap_or(byte),
            None => byte,
        };
        let set = if to.is_empty() { &from } else { &to };
        if squeeze && out.last() == Some(&mapped) && set.contains(&mapped) {
            continue;
        }
        out.push(mapped);
    }
    call.out.write_all(&out)?;
    Ok(0)
}

pub(super) fn cut(call: &mut Call<'_>) -> io::Result<u8> {
    let (mut delimiter, mut fields, mut is_fields, mut paths) = ("\t".to_owned(), None, true, Vec::new());
    let mut rest = call.args.iter();
    while let Some(word) = rest.next() {
        let (flag, inline) = (word.get(..2).unwrap_or(word), word.get(2..).unwrap_or_default());
        let mut value = || if inline.is_empty() { rest.next().cloned() } else { Some(inline.to_owned()) };
        match flag {
            "-d" => delimiter = value().unwrap_or_default(),
            "-f" => fields = value(),
            "-c" | "-b" => (fields, is_fields) = (value(), false),
            _ => paths.push(word.clone()),
        }
    }
    let Some(ranges) = fields.as_deref().and_then(ranges) else { return call.usage(1, "which fields? use -f or -c") };
    let wanted = |at: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&at));
    for line in lines_of(call, &paths)? {
        if !is_fields {
            let kept: String = line.chars().enumerate().filter(|(at, _)| wanted(at + 1)).map(|(_, c)| c).collect();
            writeln!(call.out, "{kept}")?;
        } else if !line.contains(&delimiter) {
            writeln!(call.out, "{line}")?;
        } else {
            let kept: Vec<&str> =
                line.split(&delimiter).enumerate().filter(|(at, _)| wanted(at + 1)).map(|(_, part)| part).collect();
            writeln!(call.out, "{}", kept.join(&delimiter))?;
        }
    }
    Ok(0)
}

fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    text.split(',')
        .map(|part| match part.split_once('-') {
            None => part.parse().ok().map(|at| (at, at)),
            Some((from, to)) => {
                let from = if from.is_empty() { Some(1) } else { from.parse().ok() };
                let to = if to.is_empty() { Some(usize::MAX) } else { to.parse().ok() };
                from.zip(to)
            }
        })
        .collect()
}

pub(super) fn tee(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let mut files =
        paths.iter().map(|path| call.files.create(path, flags.contains('a'))).collect::<io::Result<Vec<_>>>()?;
    let mut text = Vec::new();
    while line(call.input, &mut text)? {
        call.out.write_all(&text)?;
        call.out.flush()?;
        files.iter_mut().try_for_each(|file| file.write_all(&text))?;
    }
    Ok(0)
}

pub(super) fn seq(call: &mut Call<'_>) -> io::Result<u8> {
    let numbers: Option<Vec<i64>> = call.args.iter().map(|word| word.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return call.usage(1, "seq [FIRST [STEP]] LAST, in whole numbers"),
    };
    let mut at = first;
    while (step > 0 && at <= last) || (step < 0 && at >= last) {
        writeln!(call.out, "{at}")?;
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(0)
}

pub(super) fn base64(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let decode = flags.contains(['d', 'D']) || call.args.iter().any(|word| word == "--decode");
    let mut text = Vec::new();
    let code = inputs(call, paths, |_, input, _| {
        input.take(WHOLE).read_to_end(&mut text)?;
        Ok(true)
    })?;
    if decode {
        text.retain(|byte| !byte.is_ascii_whitespace());
        match BASE64_STANDARD.decode(&text) {
            Ok(decoded) => call.out.write_all(&decoded)?,
            Err(_) => return call.usage(1, "invalid input"),
        }
    } else {
        let encoded = BASE64_STANDARD.encode(&text);
        let width = if flags.contains('w') { usize::MAX } else { 76 };
        for line in encoded.as_bytes().chunks(width) {
            call.out.write_all(line)?;
            call.out.write_all(b"\n")?;
        }
    }
    Ok(code)
}
