//! The services of the fleet, as `services/services.txt` lists them.

const LIST: &str = include_str!("../../../../services/services.txt");

/// The suffix of services that own a database.
const DATABASE: &str = " database";

/// The services in the order in which they are shown; the gateway needs all others.
pub const SERVICES: [&str; listed("")] = names("");

/// The services that own a database.
pub const DATABASES: [&str; listed(DATABASE)] = names(DATABASE);

/// The number of services with this suffix.
const fn listed(end: &str) -> usize {
    let (mut rest, mut count) = (LIST, 0);
    while !rest.is_empty() {
        let (line, after) = split(rest, b'\n');
        if is_service(line) && ends_with(line, end) {
            count += 1;
        }
        rest = after;
    }
    count
}

/// The names of these services.
const fn names<const N: usize>(end: &str) -> [&'static str; N] {
    let (mut rest, mut names, mut count) = (LIST, [""; N], 0);
    while !rest.is_empty() {
        let (line, after) = split(rest, b'\n');
        if is_service(line) && ends_with(line, end) {
            names[count] = split(line, b' ').0;
            count += 1;
        }
        rest = after;
    }
    names
}

/// Whether a line is neither empty nor a comment.
const fn is_service(line: &str) -> bool {
    !line.is_empty() && line.as_bytes()[0] != b'#'
}

/// Splits at the first `separator`.
const fn split(text: &str, separator: u8) -> (&str, &str) {
    let mut at = 0;
    while at < text.len() && text.as_bytes()[at] != separator {
        at += 1;
    }
    let (before, rest) = text.split_at(at);
    (before, if rest.is_empty() { rest } else { rest.split_at(1).1 })
}

const fn ends_with(line: &str, end: &str) -> bool {
    if line.len() < end.len() {
        return false;
    }
    let tail = line.split_at(line.len() - end.len()).1.as_bytes();
    let mut at = 0;
    while at < tail.len() {
        if tail[at] != end.as_bytes()[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_databases_are_those_of_the_list() {
        let lines: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        let names: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        let owners: Vec<&str> = lines.iter().filter_map(|line| line.strip_suffix(" database")).collect();
        assert_eq!(SERVICES.as_slice(), names);
        assert_eq!(DATABASES.as_slice(), owners);
        assert_eq!(SERVICES.first(), Some(&"gateway"));
    }
}
