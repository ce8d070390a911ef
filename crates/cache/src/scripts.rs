//! The scripts that run in Redis. Each decides atomically; its comment says what about.

use crate::remote::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: Script = Script { name: $file, lua: include_str!(concat!("scripts/", $file, ".lua")) };
        )*
        /// All of them.
        pub const ALL: &[&Script] = &[$(&$name),*];
    };
}

scripts! {
    FETCH = "fetch", "Reads an entry and, unless it is fresh, tries to get the lease to load it.";
    STORE = "store", "Stores a loaded entry if its loader still has the lease and no newer version is known.";
    INVALIDATE = "invalidate", "Replaces an entry by a tombstone and tells the subscribers.";
    PUT = "put", "Stores a written entry unless a newer version is known.";
    RELEASE = "release", "Deletes a lease or a lock if its owner's token is this one.";
    ACQUIRE = "acquire", "Acquires a lock and counts up its fencing number.";
    EXTEND = "extend", "Extends a lock if its owner's token is this one.";
    RAISE = "raise", "Raises a fencing number.";
}
