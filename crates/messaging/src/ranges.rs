//! Sets of stream sequences as ranges.

use std::fmt;
use std::str::FromStr;

/// Sequences as inclusive ranges, sorted and disjoint. Written as a PostgreSQL `int8multirange`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// The sequences from `first` to `last`; none if `last` is below `first`.
    pub fn one(first: u64, last: u64) -> Self {
        let mut ranges = Self::default();
        ranges.insert(first, last);
        ranges
    }

    /// From sequences in ascending order.
    pub fn from_sorted(sequences: impl IntoIterator<Item = u64>) -> Self {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for sequence in sequences {
            match ranges.last_mut() {
                Some((_, last)) if sequence <= last.saturating_add(1) => *last = sequence.max(*last),
                _ => ranges.push((sequence, sequence)),
            }
        }
        Self(ranges)
    }

    /// Adds the sequences from `first` to `last`.
    pub fn insert(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        // Merges all ranges that overlap or touch the new one.
        let begin = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let end = self.0.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let merged = self.0[begin..end].iter().fold((first, last), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        drop(self.0.splice(begin..end, [merged]));
    }

    /// Adds another set.
    pub fn extend(&mut self, other: &Self) {
        for (first, last) in &other.0 {
            self.insert(*first, *last);
        }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut others = other.0.iter().copied().peekable();
        for (mut first, last) in self.0.iter().copied() {
            while others.next_if(|(_, end)| *end < first).is_some() {}
            let mut rest = others.clone();
            while let Some((start, end)) = rest.next_if(|(start, _)| *start <= last) {
                if start > first {
                    left.push((first, start - 1));
                }
                first = first.max(end.saturating_add(1));
            }
            if first <= last {
                left.push((first, last));
            }
        }
        Self(left)
    }

    /// Removes all above `last`.
    pub fn truncate(&mut self, last: u64) {
        self.0.retain(|(first, _)| *first <= last);
        if let Some((_, end)) = self.0.last_mut() {
            *end = last.min(*end);
        }
    }

    /// Keeps the `count` highest ranges.
    pub fn keep_highest(&mut self, count: usize) {
        let excess = self.0.len().saturating_sub(count);
        self.0.drain(..excess);
    }

    /// The number of sequences of `first..=last` in the set.
    pub fn count(&self, first: u64, last: u64) -> u64 {
        let within = |(start, end): &(u64, u64)| (last.min(*end) + 1).saturating_sub(first.max(*start));
        self.0.iter().map(within).sum()
    }

    /// The lowest sequence above `floor`.
    pub fn first_above(&self, floor: u64) -> Option<u64> {
        self.0.iter().find(|(_, last)| *last > floor).map(|(first, _)| (*first).max(floor + 1))
    }

    /// The highest sequence.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|(_, last)| *last)
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}[{first},{last}]")?;
        }
        f.write_str("}")
    }
}

/// The text isn't a multirange as PostgreSQL writes it.
#[derive(Debug, thiserror::Error)]
#[error("not a multirange of sequences: {0}")]
pub struct NoRanges(String);

impl FromStr for Ranges {
    type Err = NoRanges;

    /// Reads both forms of the upper bound, `[1,5]` and `[1,6)`.
    fn from_str(text: &str) -> Result<Self, NoRanges> {
        let wrong = || NoRanges(text.to_owned());
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(wrong)?;
        let mut ranges = Self::default();
        for part in inner.split_inclusive([')', ']']) {
            let part = part.trim_start_matches(',');
            let exclusive = part.ends_with(')');
            let bounds = part.strip_prefix('[').and_then(|rest| rest.strip_suffix([')', ']'])).ok_or_else(wrong)?;
            let (first, last) = bounds.split_once(',').ok_or_else(wrong)?;
            let first: u64 = first.parse().map_err(|_| wrong())?;
            let last: u64 = last.parse().map_err(|_| wrong())?;
            ranges.insert(first, if exclusive { last.saturating_sub(1) } else { last });
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn elements(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.0.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    /// Small deterministic numbers.
    fn numbers(seed: u64) -> impl Iterator<Item = u64> {
        let mut state = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 40 + 1
        })
    }

    #[test]
    fn they_are_the_same_as_sets_of_numbers() {
        for seed in 0..500 {
            let mut source = numbers(seed);
            let mut next = || source.next().unwrap_or_default();
            let mut both = [(); 2].map(|()| (Ranges::default(), BTreeSet::new()));
            for (ranges, set) in &mut both {
                for _ in 0..next() % 8 {
                    let (first, length) = (next(), next() % 6);
                    ranges.insert(first, first + length);
                    set.extend(first..=first + length);
                }
                assert_eq!(elements(ranges), *set, "seed {seed}");
                assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "seed {seed}: {ranges}");
                assert_eq!(Ranges::from_sorted(set.iter().copied()), *ranges);
                assert_eq!(ranges.to_string().parse::<Ranges>().ok().as_ref(), Some(&*ranges));
            }
            let [(left, left_set), (right, right_set)] = both;
            assert_eq!(elements(&left.without(&right)), &left_set - &right_set, "seed {seed}: {left} {right}");
            let (low, high) = (next(), next());
            assert_eq!(left.count(low, high), left_set.iter().filter(|one| (low..=high).contains(*one)).count() as u64);
            assert_eq!(left.first_above(low), left_set.iter().copied().find(|one| *one > low));
            let mut cut = left.clone();
            cut.truncate(high);
            assert_eq!(elements(&cut), left_set.iter().copied().filter(|one| *one <= high).collect::<BTreeSet<_>>());
            let mut union = left.clone();
            union.extend(&right);
            assert_eq!(elements(&union), &left_set | &right_set);
        }
    }

    #[test]
    fn what_postgresql_writes_is_read() {
        assert_eq!("{[1,6),[8,9)}".parse::<Ranges>().ok(), Some(Ranges(vec![(1, 5), (8, 8)])));
        assert_eq!("{}".parse::<Ranges>().ok(), Some(Ranges::default()));
        for wrong in ["", "{", "[1,2)", "{(1,2)}", "{[1)}", "{[a,2)}"] {
            assert!(wrong.parse::<Ranges>().is_err(), "{wrong}");
        }
    }
}
