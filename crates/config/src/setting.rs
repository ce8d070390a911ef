//! The trait of settings and sections: describes, reads, validates and compares them.

use crate::Live;
use crate::problems::Problems;
use crate::reader::Reader;
use crate::reference::{Place, Reference};
use crate::shown::{Change, Shown};
use crate::value::SettingValue;

/// A setting or a section of settings. Sections derive it.
pub trait Setting: Sized {
    /// Adds the settings at `at`, with their defaults, to `out`.
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference);

    /// Reads the setting or section named `at`. Returns `None` if it is invalid; the reader then has the problem.
    fn read(at: &str, default: Option<Self>, from: &mut Reader<'_>) -> Option<Self>;

    /// Validates beyond types: first the sections inside, then this one.
    fn check(&self, problems: &mut Problems);

    /// Adds the values of the settings to `out`, secrets masked.
    fn values(&self, name: &str, out: &mut Vec<Shown>);

    /// Adds the settings whose value in `new` differs to `out`.
    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>);

    /// Takes over the values of [`Live`] settings from `new`; others stay as they are.
    fn adopt(&self, new: &Self);
}

impl Reference {
    /// All settings of `T`.
    #[must_use]
    pub fn of<T: Setting>() -> Self {
        Self::below::<T>("")
    }

    /// All settings of the section `T` named `name`.
    pub(crate) fn below<T: Setting>(name: &str) -> Self {
        let mut reference = Self::default();
        T::describe(&Place::named(name), None, &mut reference);
        reference
    }
}

impl<T: SettingValue> Setting for T {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        out.setting(at, T::kind(), default.and_then(|default| Shown::of("", default).value));
    }

    fn read(at: &str, default: Option<Self>, from: &mut Reader<'_>) -> Option<Self> {
        from.value(at, default)
    }

    fn check(&self, _: &mut Problems) {}

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        out.push(Shown::of(name, self));
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        if !self.same(new) {
            out.push(Change::needs_restart(name));
        }
    }

    fn adopt(&self, _: &Self) {}
}

/// No settings.
impl Setting for () {
    fn describe(_: &Place, _: Option<&Self>, _: &mut Reference) {}
    fn read(_: &str, _: Option<Self>, _: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
    fn check(&self, _: &mut Problems) {}
    fn values(&self, _: &str, _: &mut Vec<Shown>) {}
    fn differ(&self, _: &Self, _: &str, _: &mut Vec<Change>) {}
    fn adopt(&self, _: &Self) {}
}

impl<T: Setting> Setting for Option<T> {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        let default = default.and_then(Option::as_ref);
        out.mark(|out| T::describe(at, default, out), |setting| setting.required = false);
    }

    fn read(at: &str, default: Option<Self>, from: &mut Reader<'_>) -> Option<Self> {
        let default = default.flatten();
        if from.is_given(at) { T::read(at, default, from).map(Some) } else { Some(default) }
    }

    fn check(&self, problems: &mut Problems) {
        if let Some(value) = self {
            value.check(problems);
        }
    }

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        match self {
            Some(value) => value.values(name, out),
            None => out.push(Shown::none(name)),
        }
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        match (self, new) {
            (Some(old), Some(new)) => old.differ(new, name, out),
            (None, None) => {}
            _ => out.push(Change::needs_restart(name)),
        }
    }

    fn adopt(&self, new: &Self) {
        if let (Some(old), Some(new)) = (self, new) {
            old.adopt(new);
        }
    }
}

impl<T: Setting + Clone> Setting for Live<T> {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        let default = default.map(Live::get);
        out.mark(|out| T::describe(at, default.as_ref(), out), |setting| setting.live = true);
    }

    fn read(at: &str, default: Option<Self>, from: &mut Reader<'_>) -> Option<Self> {
        T::read(at, default.map(|default| default.get()), from).map(Self::new)
    }

    fn check(&self, problems: &mut Problems) {
        self.get().check(problems);
    }

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        self.get().values(name, out);
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        let mut changes = Vec::new();
        self.get().differ(&new.get(), name, &mut changes);
        out.extend(changes.into_iter().map(|change| Change { live: true, ..change }));
    }

    fn adopt(&self, new: &Self) {
        let mut changes = Vec::new();
        self.differ(new, "", &mut changes);
        // Subscribers are notified only of changes.
        if !changes.is_empty() {
            self.set(new.get());
        }
    }
}
