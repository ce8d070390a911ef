//! Types that mask their values.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! masked {
    ($(#[$doc:meta])* $name:ident, $mask:literal) => {
        $(#[$doc])*
        ///
        /// `Display`, `Debug` and `Serialize` write the mask, and so do `%value` and `?value` in a log line or span.
        /// Deserialising reads the value itself. Only [`expose`](Self::expose) returns it.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(transparent)]
        pub struct $name<T>(T);

        impl<T> $name<T> {
            /// The mask that is shown instead of the value.
            pub const MASK: &'static str = $mask;

            /// Wraps a value.
            pub const fn new(value: T) -> Self {
                Self(value)
            }

            /// The value itself, for the code that needs it; never for text that people read.
            pub const fn expose(&self) -> &T {
                &self.0
            }

            /// Returns the value itself.
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
    /// Personal data: an address, a name, a phone number.
    Personal, "[personal]"
}

masked! {
    /// A secret that grants access: a password, its hash, a token, a key.
    Secret, "[secret]"
}
