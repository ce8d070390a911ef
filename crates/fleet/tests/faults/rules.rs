//! The repository's rules, with every duration divided: what takes a minute takes seconds.

use std::{fs, path::Path, time::Duration};

/// How much faster the test lives.
const FACTOR: u32 = 10;
/// No shorter: a rate needs several scrapes, a second apart.
const SHORTEST_WINDOW: Duration = Duration::from_secs(4);

/// Writes all rules into a folder, sped up; says how many files there were.
pub fn write_faster(rules: &Path, into: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(rules).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            let text = faster(&fs::read_to_string(entry.path()).unwrap());
            fs::write(into.join(entry.file_name()), text).unwrap();
            files += 1;
        }
    }
    files
}

/// A duration of the rules as the test has it; for queries that quote one.
pub fn window(text: &str) -> String {
    format!("{}ms", scaled(parse(text).unwrap()).max(SHORTEST_WINDOW).as_millis())
}

/// Divides what is in brackets (windows), and what `for:` and `interval:` say.
fn faster(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let start = line.trim_start();
        for key in ["for: ", "interval: "] {
            if let Some(duration) = start.strip_prefix(key).and_then(|value| parse(value.trim())) {
                let indent = &line[..line.len() - start.len()];
                let millis = scaled(duration).max(Duration::from_secs(1)).as_millis();
                return format!("{indent}{key}{millis}ms");
            }
        }
        windows(line)
    });
    lines.map(|line| line + "\n").collect()
}

fn windows(line: &str) -> String {
    let mut parts = line.split('[');
    let mut faster = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        faster.push('[');
        match part.split_once(']').filter(|(inside, _)| parse(inside).is_some()) {
            Some((inside, rest)) => faster.push_str(&format!("{}]{rest}", window(inside))),
            None => faster.push_str(part),
        }
    }
    faster
}

fn scaled(duration: Duration) -> Duration {
    duration / FACTOR
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number * seconds))
}

#[test]
fn windows_and_waits_are_divided_and_thresholds_stay() {
    let rule = "      - alert: Slow\n        expr: rate(x_seconds[1m]) > 0.5 and y[30s] > 10\n        for: 2m\n        labels:\n          window: 1h\n";
    let expected = "      - alert: Slow\n        expr: rate(x_seconds[6000ms]) > 0.5 and y[4000ms] > 10\n        for: 12000ms\n        labels:\n          window: 1h\n";
    assert_eq!(faster(rule), expected);
}
