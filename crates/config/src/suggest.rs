//! Suggestions for unknown names, and the workspace's error text for an unknown word.

use crate::names::FILE;
use crate::reference::Reference;

/// The word in `known` that is most similar to `word`, ignoring case; `None` if no word is similar.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let measured = |known: &'a str| Some((name_distance(&word, &known.to_lowercase())?, known));
    known.into_iter().filter_map(measured).min().map(|(_, known)| known)
}

/// An error lists all known words if there are at most this many.
const MAX_LISTED: usize = 8;

/// The error for an unknown word: `unknown log level "debgu"; use one of off, error, warn, info, debug, trace`. If there
/// are many known words and one is similar, it names only that one.
pub fn unknown<'a>(kind: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()).filter(|_| known.len() > MAX_LISTED) {
        Some(meant) => format!("unknown {kind} {word:?}; did you mean {meant}?"),
        None => format!("unknown {kind} {word:?}; use one of {}", known.join(", ")),
    }
}

/// The name of the setting that is most similar to `name`.
pub(crate) fn like(name: &str, reference: &Reference) -> Option<String> {
    // The name may be that of a setting plus the suffix for a file with its value.
    if let Some(base) = name.strip_suffix(FILE) {
        return like(base, reference).map(|meant| format!("{meant}{FILE}"));
    }
    let names = || reference.settings().iter().map(|setting| setting.name.as_str());
    let nearest = names().filter_map(|known| Some((name_distance(name, known)?, known))).min().map(|(_, known)| known);
    // It may be the right field in the wrong section, if only one field has this name.
    let field = || {
        let field = name.rsplit('.').next().unwrap_or(name);
        let mut same = names().filter(|known| known.rsplit('.').next() == Some(field));
        same.next().filter(|_| same.next().is_none())
    };
    nearest.or_else(field).map(str::to_owned)
}

/// The edit distance of two dotted names; `None` if any two of their parts are not similar.
fn name_distance(name: &str, known: &str) -> Option<usize> {
    if name.split('.').count() != known.split('.').count() {
        return None;
    }
    name.split('.').zip(known.split('.')).try_fold(0, |sum, (a, b)| {
        // At most a third may differ: a wrong suggestion is worse than none.
        let bound = (a.chars().count() / 3).max(1);
        Some(distance(a, b)).filter(|distance| *distance <= bound).map(|distance| sum + distance)
    })
}

/// The number of letters that must be inserted, deleted, replaced or swapped with their neighbour to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != other);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_typing_errors() {
        for (a, b, expected) in [("", "abc", 3), ("tick", "tick", 0), ("tikc", "tick", 1), ("tck", "tick", 1)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        assert_eq!(distance("saga.tick", "sagas.tack"), 2);
    }

    #[test]
    fn the_error_for_an_unknown_word_suggests_a_similar_word_or_lists_all() {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        for (word, meant) in
            [("debgu", "debug"), ("DEBUGG", "debug"), ("wran", "warn"), ("of", "off"), ("inf0", "info")]
        {
            assert_eq!(nearest(word, levels), Some(meant), "{word}");
        }
        let refused = unknown("log level", "debgu", levels);
        assert_eq!(refused, "unknown log level \"debgu\"; use one of off, error, warn, info, debug, trace");
        let many = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        assert_eq!(unknown("number", "sevne", many), "unknown number \"sevne\"; did you mean seven?");
        let all = many.join(", ");
        assert_eq!(unknown("number", "dozen", many), format!("unknown number \"dozen\"; use one of {all}"));
        assert_eq!(nearest("", levels), None);
    }
}
