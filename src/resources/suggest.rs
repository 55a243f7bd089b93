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
    // Three rows of the table: each is one longer than `b`, its first column stands for none of `b`.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut x_before = None;
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(above.len());
        let mut left = i + 1;
        row.push(left);
        let mut y_before = None;
        for (j, (y, corner)) in b.iter().zip(above.windows(2)).enumerate() {
            let &[diagonal, up] = corner else { continue };
            let mut best = (diagonal + usize::from(x != y)).min(up + 1).min(left + 1);
            let swapped = y_before == Some(x) && x_before == Some(y);
            if let (true, Some(two_back)) = (swapped, j.checked_sub(1).and_then(|j| before.get(j))) {
                best = best.min(two_back + 1);
            }
            row.push(best);
            left = best;
            y_before = Some(y);
        }
        before = std::mem::replace(&mut above, row);
        x_before = Some(x);
    }
    above.last().copied().unwrap_or_default()
}
