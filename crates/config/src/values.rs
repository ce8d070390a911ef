//! Implements [`SettingValue`] for the types that settings use.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::kind::Kind;
use crate::shown::MASK;
use crate::value::{Given, SettingValue, ValueError};
use crate::{ByteSize, HumanDuration, Url};

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl SettingValue for $type {
            fn kind() -> Kind {
                Kind::Integer
            }

            fn read(given: Given<'_>) -> Result<Self, ValueError> {
                let range = |_| ValueError::Range(format!("from {} to {}", Self::MIN, Self::MAX));
                Self::try_from(given.integer()?).map_err(range)
            }

            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

macro_rules! parsed {
    ($($type:ty: $kind:ident),* $(,)?) => {$(
        impl SettingValue for $type {
            fn kind() -> Kind {
                Kind::$kind
            }

            fn read(given: Given<'_>) -> Result<Self, ValueError> {
                given.text()?.trim().parse().map_err(|_| ValueError::Kind)
            }

            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }
parsed! { IpAddr: Ip, SocketAddr: Socket, Url: Url, HumanDuration: Duration }

impl SettingValue for bool {
    fn kind() -> Kind {
        Kind::Flag
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        given.flag()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for f64 {
    fn kind() -> Kind {
        Kind::Number
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        given.number()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    fn kind() -> Kind {
        Kind::Text
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        given.text().map(str::to_owned)
    }

    fn shown(&self) -> String {
        self.clone()
    }
}

impl SettingValue for PathBuf {
    fn kind() -> Kind {
        Kind::Path
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        given.text().map(Self::from)
    }

    fn shown(&self) -> String {
        self.display().to_string()
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl SettingValue for ByteSize {
    fn kind() -> Kind {
        Kind::Size
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        // A file may give a plain number.
        match given.text() {
            Ok(text) => text.parse().map_err(|_| ValueError::Kind),
            Err(_) => u64::try_from(given.integer()?).map(Self).map_err(|_| ValueError::Kind),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for SecretString {
    fn kind() -> Kind {
        Kind::Secret
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        given.text().map(Self::from)
    }

    fn shown(&self) -> String {
        MASK.to_owned()
    }

    fn same(&self, other: &Self) -> bool {
        self.expose_secret() == other.expose_secret()
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }

    fn read(given: Given<'_>) -> Result<Self, ValueError> {
        let read = |(index, element)| T::read(element).map_err(|error| ValueError::Element(index, Box::new(error)));
        given.list()?.into_iter().enumerate().map(read).collect()
    }

    fn shown(&self) -> String {
        self.iter().map(T::shown).collect::<Vec<_>>().join(",")
    }

    fn same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(one, another)| one.same(another))
    }
}
