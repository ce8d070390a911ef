//! Problems with settings, collected so that all are reported at once.

use std::fmt;

use crate::names::variable;

/// One thing that is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's dotted name, such as `postgres.pool_size`.
    pub setting: String,
    /// What is wrong with it, and what is allowed.
    pub message: String,
    /// The value given; never a secret.
    pub given: Option<String>,
    /// Where the value came from, such as a variable or a file, if known.
    pub origin: Option<String>,
}

impl Problem {
    /// A problem of a setting.
    #[must_use]
    pub fn new(setting: &str, message: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), message: message.into(), given: None, origin: None }
    }

    /// With the origin of the value.
    #[must_use]
    pub fn at(self, origin: &str) -> Self {
        Self { origin: Some(origin.to_owned()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)?;
        if let Some(given) = &self.given {
            write!(f, ", not {given:?}")?;
        }
        match &self.origin {
            Some(origin) => write!(f, " (from {origin})"),
            None => write!(f, " (set {})", variable(&self.setting)),
        }
    }
}

/// The problems found so far, in the order they were found.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    prefix: String,
}

impl Problems {
    /// Reports a problem with a setting. `setting` is relative to the section being checked.
    pub fn add(&mut self, setting: &str, message: impl Into<String>) {
        let setting = format!("{}{setting}", self.prefix);
        self.push(Problem::new(&setting, message));
    }

    /// Reports a problem when `ok` is false.
    pub fn require(&mut self, ok: bool, setting: &str, message: impl Into<String>) {
        if !ok {
            self.add(setting, message);
        }
    }

    /// Runs `check` on the section `name`: the settings it reports are relative to that section.
    pub fn within(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let outer = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('.');
        check(self);
        self.prefix.truncate(outer);
    }

    /// Whether no problem was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems found.
    #[must_use]
    pub fn found(&self) -> &[Problem] {
        &self.found
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }
}

/// Validates a section beyond the types of its settings. Every section implements it, if only as an empty `impl`:
/// `derive(Setting)` calls it after those of the sections inside.
pub trait Validate {
    /// Reports every problem of this section's own settings, and how they and the sections inside fit together. Settings
    /// are named relative to this section.
    fn validate(&self, _problems: &mut Problems) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pool {
        size: usize,
    }

    impl Validate for Pool {
        fn validate(&self, problems: &mut Problems) {
            problems.require(self.size > 0, "size", "must be at least 1");
        }
    }

    #[test]
    fn a_problem_in_a_section_names_the_section_and_the_variable() {
        let mut problems = Problems::default();
        problems.within("postgres", |problems| Pool { size: 0 }.validate(problems));
        problems.add("grace", "must be shorter");
        let lines: Vec<String> = problems.found().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "postgres.size: must be at least 1 (set FLOTILLA__POSTGRES__SIZE)",
                "grace: must be shorter (set FLOTILLA__GRACE)"
            ]
        );
    }
}
