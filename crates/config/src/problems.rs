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
    /// What was given; never a secret.
    pub given: Option<String>,
    /// Where the value came from, a variable or a file, when known.
    pub origin: Option<String>,
}

impl Problem {
    /// A problem of a setting.
    #[must_use]
    pub fn new(setting: &str, message: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), message: message.into(), given: None, origin: None }
    }

    /// With the place that the value came from.
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

/// The problems found so far, in the order of finding.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    prefix: String,
}

impl Problems {
    /// Reports that a setting is wrong. `setting` is relative to the section being checked.
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

    /// What `check` finds is named below `name`.
    pub fn within(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let outer = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('.');
        check(self);
        self.prefix.truncate(outer);
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> &[Problem] {
        &self.found
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }
}

/// What a section requires beyond the types of its settings. Each section has one, be it empty: `derive(Setting)` calls
/// it, and those of the sections inside before it.
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
    fn a_sections_problem_carries_the_sections_name_and_its_variable() {
        let mut problems = Problems::default();
        problems.within("postgres", |problems| Pool { size: 0 }.validate(problems));
        problems.add("grace", "must be shorter");
        let told: Vec<String> = problems.found().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "postgres.size: must be at least 1 (set FLOTILLA__POSTGRES__SIZE)",
                "grace: must be shorter (set FLOTILLA__GRACE)"
            ]
        );
    }
}
