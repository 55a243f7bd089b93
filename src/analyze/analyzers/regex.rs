//! Regular expressions that do not mean what they look like.
//!
//! An expression has to match the whole text (Istio, `StringMatch`). People write globs, prefixes and host names in their place, and
//! all of these are sound expressions that match something else. What may well be meant is left alone: a missed slip costs less than
//! a warning that is wrong.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::REGEX_LOOKS_LIKE_GLOB;
use crate::analyze::message::place;
use crate::analyze::object::{Object, items};
use crate::analyze::snapshot::Snapshot;
use crate::yaml::Path;

/// What an expression is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// A path, which begins with `/`.
    Path,
    /// A host, or an origin, which holds one.
    Host,
    /// Any other text.
    Text,
}

impl Subject {
    fn of_header(name: &str) -> Self {
        let holds_host =
            ["host", ":authority", "origin", "referer"].iter().any(|known| known.eq_ignore_ascii_case(name));
        if holds_host { Self::Host } else { Self::Text }
    }
}

/// Those of VirtualServices and HTTPRoutes.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService") {
        for (index, rule) in service.items("/spec/http").iter().enumerate() {
            for (at, conditions) in items(rule, "/match").iter().enumerate() {
                let base = place!["spec", "http", index, "match", at];
                for (field, subject) in [
                    ("uri", Subject::Path),
                    ("authority", Subject::Host),
                    ("method", Subject::Text),
                    ("scheme", Subject::Text),
                ] {
                    note(service, conditions.get(field), base.key(field), subject, found);
                }
                for field in ["headers", "withoutHeaders", "queryParams"] {
                    for (name, value) in conditions.get(field).and_then(Value::as_object).into_iter().flatten() {
                        let subject = if field == "queryParams" { Subject::Text } else { Subject::of_header(name) };
                        note(service, Some(value), base.key(field).key(name), subject, found);
                    }
                }
            }
            for (at, origin) in items(rule, "/corsPolicy/allowOrigins").iter().enumerate() {
                let place = place!["spec", "http", index, "corsPolicy", "allowOrigins", at];
                note(service, Some(origin), place, Subject::Host, found);
            }
        }
    }
    for route in snapshot.all("HTTPRoute") {
        for (index, rule) in route.items("/spec/rules").iter().enumerate() {
            for (at, conditions) in items(rule, "/matches").iter().enumerate() {
                let base = place!["spec", "rules", index, "matches", at];
                note_typed(route, conditions.get("path"), base.key("path"), Subject::Path, found);
                for field in ["headers", "queryParams"] {
                    for (number, wanted) in items(conditions, &format!("/{field}")).iter().enumerate() {
                        let name = wanted.get("name").and_then(Value::as_str).unwrap_or_default();
                        let subject = if field == "headers" { Subject::of_header(name) } else { Subject::Text };
                        note_typed(route, Some(wanted), base.key(field).index(number), subject, found);
                    }
                }
            }
        }
    }
}

/// One of Istio's matches.
fn note(object: &Object, wanted: Option<&Value>, place: Path, subject: Subject, found: &mut Found) {
    let regex = wanted.and_then(|wanted| wanted.get("regex")).and_then(Value::as_str);
    if let Some(text) = regex.and_then(|regex| looks_like(regex, subject)) {
        found.at(REGEX_LOOKS_LIKE_GLOB, object, &place.key("regex"), text);
    }
}

/// One of the Gateway API's matches.
fn note_typed(object: &Object, wanted: Option<&Value>, place: Path, subject: Subject, found: &mut Found) {
    let text = |field: &str| wanted.and_then(|wanted| wanted.get(field)).and_then(Value::as_str);
    if text("type") != Some("RegularExpression") {
        return;
    }
    if let Some(said) = text("value").and_then(|regex| looks_like(regex, subject)) {
        found.at(REGEX_LOOKS_LIKE_GLOB, object, &place.key("value"), said);
    }
}

/// What is said of an expression that does not mean what it looks like.
fn looks_like(regex: &str, subject: Subject) -> Option<String> {
    glob(regex)
        .or_else(|| plain(regex))
        .or_else(|| if subject == Subject::Path { no_path(regex) } else { None })
        .or_else(|| cut_short(regex))
        .or_else(|| if subject == Subject::Host { any_character(regex) } else { None })
}

/// Characters that mean something else than themselves.
const META: [char; 14] = ['\\', '^', '$', '.', '|', '?', '*', '+', '(', ')', '[', ']', '{', '}'];

/// A `*` that repeats what nobody repeats.
fn glob(regex: &str) -> Option<String> {
    let others = regex.trim_start_matches('^').trim_end_matches('$').contains(|c| c != '*' && META.contains(&c));
    let repeated = regex.match_indices('*').find_map(|(at, _)| {
        let mut before = regex.get(..at).unwrap_or_default().chars().rev();
        let repeated = before.next()?;
        let earlier = before.next();
        let odd = match repeated {
            // Slashes that may be doubled are meant.
            '/' => earlier != Some('/'),
            // In an expression that has more of one, letters may well be repeated.
            '-' | '_' => !others,
            other => other.is_ascii_alphanumeric() && !others && at + 1 == regex.trim_end_matches('$').len(),
        };
        // A class, as in `\d*`, is meant to be repeated.
        (odd && earlier != Some('\\')).then_some(repeated)
    })?;
    Some(format!(
        "In {regex:?}, the `*` repeats the {repeated:?} before it and stands for nothing else: for anything, write `.*`."
    ))
}

/// An expression that one text matches.
fn plain(regex: &str) -> Option<String> {
    if regex.is_empty() {
        return None;
    }
    if !regex.contains(META) {
        return Some(format!(
            "{regex:?} has nothing of a regular expression, and matches this text alone: write exact, or prefix if that is meant."
        ));
    }
    let inner = regex.strip_prefix('^')?;
    let (inner, ended) = inner.strip_suffix('$').map_or((inner, false), |inner| (inner, true));
    (!inner.is_empty() && !ended && !inner.contains(META)).then(|| {
        format!(
            "{regex:?} has to match the whole text, and so matches {inner:?} alone: write prefix if that is meant, else exact."
        )
    })
}

/// An alternative that no path begins like.
fn no_path(regex: &str) -> Option<String> {
    let alternatives = alternatives(regex);
    let never = alternatives.iter().find(|alternative| {
        let start = alternative.trim_start_matches('^');
        start.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !start.get(1..).is_some_and(|rest| rest.starts_with(['*', '?', '{']))
            || start.starts_with(r"\.")
    })?;
    Some(if alternatives.len() > 1 {
        format!(
            "In {regex:?}, the `|` divides the whole expression, and {never:?} matches no path, since paths begin with `/`: put parentheses around what is to differ."
        )
    } else {
        format!("{regex:?} matches no path, since paths begin with `/`: put it, or `.*`, at the start.")
    })
}

/// The alternatives of an expression as a whole.
fn alternatives(regex: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut class, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    for (at, c) in regex.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth = depth.saturating_sub(1),
            '|' if !class && depth == 0 => {
                found.extend(regex.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(regex.get(start..));
    found
}

/// An expression that says where the text begins and not where it ends, as if that were left open.
fn cut_short(regex: &str) -> Option<String> {
    let open =
        regex.starts_with('^') && regex.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_'));
    // `\d` and the like end with a letter as well, and say nothing about what follows either.
    (open && alternatives(regex).len() == 1).then(|| {
        format!(
            "{regex:?} has to match the whole text, as if it ended with `$`: add `.*` at the end if more may follow."
        )
    })
}

/// A dot between the labels of a host that matches any character, so that others' hosts match.
fn any_character(regex: &str) -> Option<String> {
    let bytes = regex.as_bytes();
    let is_word = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let classes = |at: usize| at.checked_sub(2).and_then(|at| bytes.get(at)) == Some(&b'\\');
    let dot = regex
        .match_indices('.')
        .map(|(at, _)| at)
        .find(|at| is_word(at.checked_sub(1)) && !classes(*at) && is_word(Some(at + 1)) && !in_class(regex, *at))?;
    let written = format!("{}\\{}", regex.get(..dot)?, regex.get(dot..)?);
    Some(format!(
        "In {regex:?}, a `.` stands for any character, so that other hosts match as well: write it as `\\.`, as in {written}."
    ))
}

/// Whether a place is within brackets.
fn in_class(regex: &str, place: usize) -> bool {
    let before = regex.get(..place).unwrap_or_default();
    before.rfind('[').is_some_and(|open| before.rfind(']').is_none_or(|close| close < open))
}
