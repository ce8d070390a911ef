//! Reads `.env` files.
//!
//! A line is `NAME=value` or `export NAME=value`; empty lines and lines that begin with `#` are ignored. A plain value
//! ends before ` #`; a value in single quotes is literal; in double quotes, the escapes are `\n`, `\r`, `\t`, `\"`,
//! `\\` and `\$`. Quoted values may span lines. Variables aren't expanded: a `$` is a `$`.

use std::path::Path;

use crate::error::ConfigError;

/// Reads a file. A file that doesn't exist has no variables, unless it is required.
pub(crate) fn read(path: &Path, required: bool) -> Result<Vec<(String, String)>, ConfigError> {
    let fail = |message: String| ConfigError::File { path: path.to_owned(), message };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|line| fail(format!("line {line}: expected NAME=value"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(Vec::new()),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// The variables, or the number of the line that isn't one.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut variables = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let number = text.len() - rest.len();
        let line = 1 + text[..number].matches('\n').count();
        let (now, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if now.trim().is_empty() || now.trim_start().starts_with('#') {
            rest = after;
            continue;
        }
        let (name, value) = rest.split_once('=').filter(|(name, _)| !name.contains('\n')).ok_or(line)?;
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte)) {
            return Err(line);
        }
        let (value, after) = value_of(value).ok_or(line)?;
        variables.push((name.to_owned(), value));
        rest = after;
    }
    Ok(variables)
}

/// The value at the beginning of `text`, and the lines after it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (value, rest) = match text.chars().next() {
        Some('\'') => {
            let (value, rest) = text[1..].split_once('\'')?;
            (value.to_owned(), rest)
        }
        Some('"') => double_quoted(&text[1..])?,
        _ => {
            let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
            let end = line.find(" #").or_else(|| line.starts_with('#').then_some(0)).unwrap_or(line.len());
            return Some((line[..end].trim().to_owned(), rest));
        }
    };
    let (tail, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let tail = tail.trim();
    (tail.is_empty() || tail.starts_with('#')).then_some((value, rest))
}

fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other if "\"\\$".contains(other) => value.push(other),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_shells_and_compose_files_write_them() {
        let text = "# a comment\n\nexport A=1\nB = two words # not this\nC='it $is \\n'\nD=\"a\\nb \\\"c\\\" \\$d\" # no\nE=\"two\nlines\"\r\nF=\nG=a#b\n H=x";
        let read = parse(text).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "it $is \\n"),
            ("D", "a\nb \"c\" $d"),
            ("E", "two\nlines"),
            ("F", ""),
            ("G", "a#b"),
            ("H", "x"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn an_invalid_line_is_reported_by_its_number() {
        for (text, line) in [("A=1\nhello", 2), ("A='1\nB=2", 1), ("A=\"x\" y", 1), ("a b=1", 1), ("=1", 1)] {
            assert_eq!(parse(text), Err(line), "{text:?}");
        }
    }
}
