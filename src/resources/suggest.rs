//! "Did you mean": the closest known word to an unknown one.

/// `: did you mean \`x\`?` if one of `known` is close to `word`, else the list of what is known if it is short enough to read.
pub(super) fn among(word: &str, known: &[&str]) -> String {
    const LISTED: usize = 8;

    let closest =
        known.iter().map(|candidate| (distance(word, candidate), candidate)).min_by_key(|(distance, _)| *distance);
    match closest {
        Some((distance, candidate)) if distance * 3 <= candidate.len().max(3) => {
            format!(": did you mean `{candidate}`?")
        }
        _ if known.is_empty() => String::new(),
        _ if known.len() <= LISTED => format!(": it can be one of {}", known.join(", ")),
        _ => ": check its spelling".to_owned(),
    }
}

/// A text short enough to be part of a sentence.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;

    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        let start: String = text.chars().take(SHOWN).collect();
        format!("{start}…")
    }
}

/// How many edits turn `a` into `b`, letters' case aside; transposed neighbours count as one edit. Words too long to be a
/// misspelling are infinitely far apart.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;

    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX / 4;
    }
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let substitute = above[j] + usize::from(x != y);
            let mut best = substitute.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}
