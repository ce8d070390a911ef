//! The kinds of values that settings take.

use std::fmt;

/// What a setting takes. Its text is fit to follow "expected".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Any text.
    Text,
    /// A text that is never shown.
    Secret,
    /// A path of the file system.
    Path,
    /// An IP address.
    Ip,
    /// An IP address with a port.
    Socket,
    /// A scheme and a host.
    Url,
    /// A duration.
    Duration,
    /// A number of bytes.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several values of one kind.
    List(Box<Kind>),
    /// A kind of its own, in words such as `definitions of flags as JSON`.
    Other(&'static str),
}

impl Kind {
    /// The words to choose from, if it takes only these.
    #[must_use]
    pub fn choices(&self) -> &'static [&'static str] {
        if let Self::Choice(words) = self { words } else { &[] }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Choice(words) => return write!(f, "one of {}", words.join(", ")),
            Self::List(each) => return write!(f, "a list, separated by commas, each {each}"),
            Self::Flag => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Secret => "a secret",
            Self::Path => "a path",
            Self::Ip => "an IP address",
            Self::Socket => "an address such as 127.0.0.1:8080",
            Self::Url => "an address such as http://host:port",
            Self::Duration => "a duration such as 250ms, 5s, 2m or 1h30m",
            Self::Size => "a size such as 512, 64KiB or 1MiB",
            Self::Other(text) => text,
        })
    }
}
