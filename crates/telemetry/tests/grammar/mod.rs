//! A parser of OpenMetrics 1.0 for tests, written from the specification and not from the encoder. It panics if a text
//! breaks a rule.

#![allow(clippy::unwrap_used, missing_docs, dead_code, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

/// A family of metrics.
#[derive(Debug, Default, PartialEq)]
pub struct Family {
    pub kind: String,
    pub unit: String,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
    /// Labels, value and time.
    pub exemplar: Option<(BTreeMap<String, String>, f64, f64)>,
}

/// Parses a whole text.
pub fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        assert!(!line.is_empty(), "no line is empty");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut parts = rest.splitn(3, ' ');
            let (what, name, value) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default());
            if name != current {
                assert!(!families.contains_key(name), "{name} is in one piece");
                current = name.to_owned();
                families.insert(current.clone(), Family::default());
            }
            let family = families.get_mut(name).unwrap();
            assert!(family.samples.is_empty(), "{name} is described before its samples");
            let field = match what {
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                other => panic!("{other} is no keyword"),
            };
            assert!(field.is_empty(), "{name} has one {what}");
            *field = value.to_owned();
        } else {
            let sample = sample(line);
            let family = families.get_mut(&current).expect("a family is described first");
            let suffix = sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} isn't of {current}"));
            let allowed: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" | "unknown" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                "summary" => &["", "_count", "_sum"],
                other => panic!("{other} is no type"),
            };
            assert!(allowed.contains(&suffix), "{line} in a {}", family.kind);
            assert!(sample.exemplar.is_none() || ["_bucket", "_total"].contains(&suffix), "{line}: an exemplar");
            family.samples.push(sample);
        }
    }
    families.iter().for_each(|(name, family)| check(name, family));
    families
}

fn check(name: &str, family: &Family) {
    assert!(family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)), "{name}: unit {}", family.unit);
    assert!(!escapes(&family.help).contains('"'), "{name}: quotes are escaped");
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "{name}: {sample:?} is there once");
        assert!(family.kind != "counter" || sample.value >= 0.0, "{sample:?}");
    }
    if family.kind == "histogram" {
        histogram(name, family);
    }
}

/// Buckets increase, end with infinity and match the count; an exemplar's value is within its bucket.
fn histogram(name: &str, family: &Family) {
    let mut before: Option<(BTreeMap<String, String>, f64, f64)> = None;
    let mut infinite = BTreeMap::new();
    for bucket in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
        let mut labels = bucket.labels.clone();
        let le = labels.remove("le").unwrap_or_else(|| panic!("{name}: a bucket has a bound"));
        assert!(le == "+Inf" || le.contains(['.', 'e']), "{name}: {le} is a floating point number");
        let bound = number(&le);
        let lower = match &before {
            Some((of, lower, count)) if *of == labels => {
                assert!(bound > *lower && bucket.value >= *count, "{name}: {bucket:?}");
                *lower
            }
            _ => f64::NEG_INFINITY,
        };
        if let Some((_, value, _)) = &bucket.exemplar {
            assert!(*value > lower && *value <= bound, "{name}: {bucket:?}");
        }
        if bound.is_infinite() {
            infinite.insert(labels.clone(), bucket.value);
        }
        before = Some((labels, bound, bucket.value));
    }
    let counts = family.samples.iter().filter(|sample| sample.name.ends_with("_count"));
    let counts: BTreeMap<_, _> = counts.map(|sample| (sample.labels.clone(), sample.value)).collect();
    assert_eq!(infinite, counts, "{name}: the last bucket is the count");
}

fn sample(line: &str) -> Sample {
    let (own, exemplar) = match line.split_once(" # ") {
        Some((own, exemplar)) => (own, Some(exemplar)),
        None => (line, None),
    };
    let end = own.find(['{', ' ']).unwrap();
    let name = own[..end].to_owned();
    assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'), "{name}");
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
    let (labels, rest) = labels(&own[end..]);
    let mut values = rest.strip_prefix(' ').unwrap().split(' ');
    let value = number(values.next().unwrap());
    assert!(values.next().is_none(), "{line}: nothing of ours has a timestamp");
    let exemplar = exemplar.map(|text| {
        let (labels, rest) = labels_of(text);
        let length: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        assert!(length <= 128, "{line}: an exemplar's labels are short");
        let mut values = rest.strip_prefix(' ').unwrap().split(' ').map(number);
        (labels, values.next().unwrap(), values.next().unwrap())
    });
    Sample { name, labels, value, exemplar }
}

fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    if text.starts_with('{') { labels_of(text) } else { (BTreeMap::new(), text) }
}

fn labels_of(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    let mut rest = text.strip_prefix('{').unwrap();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap();
        assert!(found.insert(name.to_owned(), escapes(&after[..end])).is_none(), "{name} is there once");
        rest = &after[end + 1..];
        match rest.split_at(1) {
            (",", more) => rest = more,
            ("}", more) => return (found, more),
            (other, _) => panic!("{other} after a label"),
        }
    }
}

/// Removes escapes. An escaped quote becomes `'`, so that a bare `"` can still be found.
fn escapes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next().unwrap() {
                'n' => out.push('\n'),
                '"' => out.push('\''),
                '\\' => out.push('\\'),
                other => panic!("\\{other} is no escape"),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => {
            assert!(!number.to_ascii_lowercase().contains("inf"), "{number}");
            number.parse().unwrap_or_else(|_| panic!("{number:?} is no number"))
        }
    }
}
