//! Values that don't show themselves.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! masked {
    ($(#[$doc:meta])* $name:ident, $mask:literal) => {
        $(#[$doc])*
        ///
        /// `Display`, `Debug` and `Serialize` give the mask, and with them `%value` and `?value` in a log line or span.
        /// Deserialising reads the value itself. [`expose`](Self::expose) is the only way to it.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(transparent)]
        pub struct $name<T>(T);

        impl<T> $name<T> {
            /// What is shown instead.
            pub const MASK: &'static str = $mask;

            /// Hides a value.
            pub const fn new(value: T) -> Self {
                Self(value)
            }

            /// The value itself: for the one place that needs it, never for text that somebody reads.
            pub const fn expose(&self) -> &T {
                &self.0
            }

            /// Gives the value away.
            pub fn into_exposed(self) -> T {
                self.0
            }
        }

        impl<T> From<T> for $name<T> {
            fn from(value: T) -> Self {
                Self(value)
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::MASK)
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::MASK)
            }
        }

        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Self::MASK)
            }
        }
    };
}

masked! {
    /// Data about a person: an address, a name, a number to call.
    Personal, "[personal]"
}

masked! {
    /// What gives access: a password, its hash, a token, a key.
    Secret, "[secret]"
}
