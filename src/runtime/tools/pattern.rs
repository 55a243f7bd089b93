//! Shell patterns: `*`, `?` and `[…]`, for `case`, `${x#…}` and file names.

/// Whether the whole text fits the pattern.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches(&pattern, &text)
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    // Where to go on after the last star, if what follows it does not fit.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match (pattern.get(p), text.get(t)) {
            (Some('*'), _) => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            (Some('?'), Some(_)) => Some(1),
            (Some('['), Some(c)) => class(pattern.get(p..).unwrap_or_default(), *c),
            (Some('\\'), Some(c)) if pattern.get(p + 1) == Some(c) => Some(2),
            (Some(wanted), Some(c)) if wanted == c => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (p, t) = (p + step, t + 1),
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// The length of the class that `pattern` begins with, if `c` is in it.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let close = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let body = pattern.get(1..close)?;
    let (negated, body) = match body.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, body),
    };
    let mut found = false;
    let mut rest = body;
    while let Some((first, tail)) = rest.split_first() {
        match tail {
            ['-', last, tail @ ..] => {
                found |= (*first..=*last).contains(&c);
                rest = tail;
            }
            tail => {
                found |= *first == c;
                rest = tail;
            }
        }
    }
    (found != negated).then_some(close + 1)
}

/// Whether the text has anything that makes it a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?x", "ax", true),
            ("[a-c]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("20?", "200", true),
            ("\\*", "*", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
