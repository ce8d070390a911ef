//! The types that a setting may have.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::failure::join;
use crate::reference::{Kind, Place, Reference};
use crate::setting::{Change, MASK, Setting, Shown};
use crate::{ByteSize, HumanDuration, Live, Url};

macro_rules! shown_by {
    ($show:expr; $($type:ty: $kind:expr),* $(,)?) => {$(
        impl Setting for $type {
            fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
                out.setting(at, $kind, default);
            }

            fn values(&self, name: &str, out: &mut Vec<Shown>) {
                let show: fn(&Self) -> String = $show;
                out.push(Shown::plain(name, show(self)));
            }

            fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
                if self != new {
                    out.push(Change::needs_restart(name));
                }
            }

            fn adopt(&self, _: &Self) {}
        }
    )*};
}

shown_by! { |value| value.to_string();
    bool: Kind::choice(&["true", "false"]),
    u8: Kind::of("a whole number"), u16: Kind::of("a whole number"), u32: Kind::of("a whole number"),
    u64: Kind::of("a whole number"), usize: Kind::of("a whole number"),
    i8: Kind::of("a whole number"), i16: Kind::of("a whole number"), i32: Kind::of("a whole number"),
    i64: Kind::of("a whole number"), isize: Kind::of("a whole number"),
    f32: Kind::of("a number"), f64: Kind::of("a number"),
    String: Kind::of("a text"),
    IpAddr: Kind::of("an IP address"),
    SocketAddr: Kind::of("an address such as 127.0.0.1:8080"),
    HumanDuration: Kind::of("a duration such as 250ms, 5s, 2m or 1h30m"),
    ByteSize: Kind::of("a size such as 512, 64KiB or 1MiB"),
    Url: Kind::of("an address such as http://host:port"),
}
shown_by! { |value| value.display().to_string();
    PathBuf: Kind::of("a path"),
}

impl Setting for SecretString {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        out.mark(|out| out.setting(at, Kind::of("a secret"), default), |setting| setting.secret = true);
    }

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        out.push(Shown { name: name.to_owned(), value: Some(MASK.to_owned()), secret: true });
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        if self.expose_secret() != new.expose_secret() {
            out.push(Change::needs_restart(name));
        }
    }

    fn adopt(&self, _: &Self) {}
}

/// Whatever has no settings.
impl Setting for () {
    fn describe(_: &Place, _: Option<&Self>, _: &mut Reference) {}
    fn values(&self, _: &str, _: &mut Vec<Shown>) {}
    fn differ(&self, _: &Self, _: &str, _: &mut Vec<Change>) {}
    fn adopt(&self, _: &Self) {}
}

impl<T: Setting> Setting for Option<T> {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        let default = default.and_then(Option::as_ref);
        out.mark(|out| T::describe(at, default, out), |setting| setting.required = false);
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

/// What one element shows, without its name.
fn shown<T: Setting>(value: &T) -> Option<String> {
    let mut all = Vec::new();
    value.values("", &mut all);
    all.into_iter().next().and_then(|shown| shown.value)
}

fn kind_of<T: Setting>() -> Kind {
    let mut inner = Reference::default();
    T::describe(&Place::default(), None, &mut inner);
    inner.settings().first().map_or_else(|| Kind::of("a value"), |setting| setting.kind.clone())
}

/// A list of settings that are one value each.
impl<T: Setting> Setting for Vec<T> {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        out.setting(at, Kind::of(&format!("a list, separated by commas, each {}", kind_of::<T>().text)), default);
    }

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        let elements: Vec<String> = self.iter().filter_map(shown).collect();
        out.push(Shown { value: Some(elements.join(",")), ..Shown::none(name) });
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        let mut changes = Vec::new();
        self.iter().zip(new).for_each(|(old, new)| old.differ(new, name, &mut changes));
        if self.len() != new.len() || !changes.is_empty() {
            out.push(Change::needs_restart(name));
        }
    }

    fn adopt(&self, _: &Self) {}
}

/// Settings whose names the user chooses; each one value.
impl<T: Setting> Setting for BTreeMap<String, T> {
    fn describe(at: &Place, _: Option<&Self>, out: &mut Reference) {
        let kind = Kind::of(&format!("a section with names of your choice, each {}", kind_of::<T>().text));
        let mark = |setting: &mut crate::reference::Description| (setting.open, setting.required) = (true, false);
        out.mark(|out| out.setting::<Self>(at, kind, None), mark);
    }

    fn values(&self, name: &str, out: &mut Vec<Shown>) {
        self.iter().for_each(|(key, value)| value.values(&join(name, key), out));
    }

    fn differ(&self, new: &Self, name: &str, out: &mut Vec<Change>) {
        for key in self.keys().chain(new.keys().filter(|key| !self.contains_key(*key))) {
            match (self.get(key), new.get(key)) {
                (Some(old), Some(new)) => old.differ(new, &join(name, key), out),
                _ => out.push(Change::needs_restart(&join(name, key))),
            }
        }
    }

    fn adopt(&self, _: &Self) {}
}

impl<T: Setting + Clone> Setting for Live<T> {
    fn describe(at: &Place, default: Option<&Self>, out: &mut Reference) {
        let default = default.map(Live::get);
        out.mark(|out| T::describe(at, default.as_ref(), out), |setting| setting.live = true);
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
        // Whoever subscribed hears only of changes.
        if !changes.is_empty() {
            self.set(new.get());
        }
    }
}
