//! Refuses likely typos in the levels and modules of a filter. The library's parser takes any word that isn't a level for
//! a module, so `debgu` would log only a module of that name, and so nothing.

use flotilla_config::{nearest, unknown};

/// The levels, quietest first.
pub(crate) const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The workspace's crates and the libraries that log, one a line: generated from `Cargo.lock` by
/// `UPDATE_DOCS=1 cargo test -p flotilla-telemetry --lib words`.
const PACKAGES: &str = include_str!("crates.txt");
/// Other targets: the program, libraries that log through one of those, and what this workspace calls a target.
const OTHERS: [&str; 12] = [
    "flotilla",
    "hyper",
    "log",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "panic",
    "reqwest",
    "tokio",
    "tower_http",
    "tracing",
];

/// The prefix of this workspace's crates: an unknown crate with it doesn't exist.
const OWN: &str = "flotilla_";
/// Shorter module names get no suggestion, because they resemble too many others.
const MIN_SUGGESTED: usize = 5;

/// Crates whose events may be in the services' logs.
fn crates() -> impl Iterator<Item = &'static str> {
    PACKAGES.lines().chain(OTHERS)
}

/// Refuses an unknown level.
pub(crate) fn level(word: &str) -> Result<(), String> {
    let digit = || matches!(word.as_bytes(), [b'0'..=b'5']);
    if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) || digit() {
        return Ok(());
    }
    Err(unknown("log level", word, LEVELS))
}

/// Refuses a module whose crate is unknown and probably misspelt. Other unknown crates are accepted.
pub(crate) fn module(path: &str) -> Result<(), String> {
    let first = path.split("::").next().unwrap_or(path);
    if crates().any(|known| known == first) {
        return Ok(());
    }
    let own = || crates().filter_map(|known| known.strip_prefix(OWN));
    let meant = match first.strip_prefix(OWN) {
        Some(bare) => nearest(bare, own()).map(|bare| format!("{OWN}{bare}")),
        None if first.len() < MIN_SUGGESTED => None,
        None => nearest(first, own())
            .map(|bare| format!("{OWN}{bare}"))
            .or_else(|| nearest(first, crates()).map(str::to_owned)),
    };
    match meant {
        Some(meant) => Err(format!("unknown module {first:?}; did you mean {meant}?")),
        None if first.starts_with(OWN) => {
            // Because of the shared prefix, every crate would count as similar.
            let known: Vec<&str> = crates().filter(|known| known.starts_with(OWN)).collect();
            Err(format!("unknown module {first:?}; use one of {}", known.join(", ")))
        }
        None => Ok(()),
    }
}

/// Refuses a filter with a misspelt word.
pub(crate) fn filter(text: &str) -> Result<(), String> {
    let mut parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_none() {
        return Err("an empty filter logs only errors; use off to log nothing".to_owned());
    }
    parts.try_for_each(directive)
}

/// `level`, `module`, `module=level`, `module[span{field=value}]=level`.
fn directive(part: &str) -> Result<(), String> {
    let (target, wanted) = match part.split_once('[') {
        Some((target, span)) => {
            let rest = span.rsplit_once(']').map_or("", |(_, rest)| rest);
            (Some(target).filter(|target| !target.is_empty()), rest.strip_prefix('='))
        }
        None => match part.split_once('=') {
            Some((target, wanted)) => (Some(target), Some(wanted)),
            None => return level_or_crate(part),
        },
    };
    target.map_or(Ok(()), module)?;
    wanted.map_or(Ok(()), level)
}

/// A word without `=`: a level, or a known crate.
fn level_or_crate(word: &str) -> Result<(), String> {
    let Err(refused) = level(word) else { return Ok(()) };
    let first = word.split("::").next().unwrap_or(word);
    if crates().any(|known| known == first) {
        return Ok(());
    }
    if nearest(word, LEVELS).is_some() {
        return Err(refused);
    }
    module(word)?;
    Err(format!("{refused}; for a module, give its level: {word}=debug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_filter_is_refused_with_a_suggestion() {
        for (text, expected) in [
            ("debgu", "unknown log level \"debgu\"; use one of off, error, warn, info, debug, trace"),
            ("info,wran", "unknown log level \"wran\"; use one of off, error, warn"),
            (
                "info,flotilla_orders=debgu",
                "unknown log level \"debgu\"; use one of off, error, warn, info, debug, trace",
            ),
            ("info,flotilla_orders[place]=trcae", "unknown log level \"trcae\"; use one of off, error, warn"),
            ("info,flotilla_order=debug", "unknown module \"flotilla_order\"; did you mean flotilla_orders?"),
            ("info,orders=debug", "unknown module \"orders\"; did you mean flotilla_orders?"),
            ("info,ordres::saga=debug", "unknown module \"ordres\"; did you mean flotilla_orders?"),
            ("info,tonci=debug", "unknown module \"tonci\"; did you mean tonic?"),
            ("info,flotilla_shipping=debug", "unknown module \"flotilla_shipping\"; use one of flotilla_auth,"),
            ("verbose", "unknown log level \"verbose\"; use one of off, error, warn, info, debug, trace; for a module"),
            ("info,flotilla_orders=", "unknown log level \"\""),
            ("", "an empty filter"),
            (" , ", "an empty filter"),
        ] {
            let refusal = filter(text).unwrap_err();
            assert!(refusal.starts_with(expected), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_valid_filter_is_accepted() {
        for text in [
            "info",
            "INFO",
            "off",
            "3",
            "warn,flotilla_orders=debug",
            "info,flotilla_orders::saga=trace,h2=info,",
            "flotilla_orders",
            "info,acme_shipping::van=debug",
            "info,[place{user=\"u-1\"}]=debug",
            "info,flotilla_orders[place]",
        ] {
            filter(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        }
    }

    #[test]
    fn every_crate_that_logs_is_known() {
        let lock = include_str!("../../../../Cargo.lock");
        let packages = lock.split("[[package]]").skip(1).filter_map(|package| {
            let name = package.split('"').nth(1)?.replace('-', "_");
            let logs = package.contains("\n \"tracing\",") || package.contains("\n \"log\",");
            (logs || name.starts_with(OWN)).then_some(name + "\n")
        });
        // Two versions of a package are two entries.
        let packages: String = packages.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/logs/crates.txt"), &packages).unwrap();
        }
        let stale =
            "crates.txt is not what Cargo.lock says: UPDATE_DOCS=1 cargo test -p flotilla-telemetry --lib words";
        assert!(packages == PACKAGES, "{stale}");
    }
}
