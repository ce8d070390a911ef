//! The result of checking one invariant, and how results are printed.

use std::process::ExitCode;

use flotilla_terminal::{bad, good};

/// One invariant and whether it holds.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The invariant, as a sentence.
    pub invariant: &'static str,
    /// What was counted, or what is wrong.
    pub detail: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Finding {
    /// An invariant that holds when `wrong` is empty.
    #[must_use]
    pub fn of(invariant: &'static str, checked: impl std::fmt::Display, wrong: &[String]) -> Self {
        let holds = wrong.is_empty();
        let detail = if holds {
            checked.to_string()
        } else {
            let few: Vec<_> = wrong.iter().take(5).map(String::as_str).collect();
            format!("{} wrong: {}", wrong.len(), few.join("; "))
        };
        Self { invariant, detail, holds }
    }
}

/// Prints the findings; exit code 1 if an invariant is broken.
#[must_use]
pub fn report(findings: &[Finding]) -> ExitCode {
    println!("\ninvariants");
    for finding in findings {
        let mark = if finding.holds { good("holds ") } else { bad("BROKEN") };
        println!("  {mark}  {} ({})", finding.invariant, finding.detail);
    }
    if findings.iter().all(|finding| finding.holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
