//! The types of setting values, as people read them.

use std::fmt;

/// The type of a setting's value. It is displayed as errors show it, after "expected".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// Any string.
    Text,
    /// A string that is never shown.
    Secret,
    /// A file system path.
    Path,
    /// An IP address.
    Ip,
    /// An IP address with a port.
    Socket,
    /// A URL with a scheme and a host.
    Url,
    /// A duration.
    Duration,
    /// A number of bytes.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several values of one type.
    List(Box<Kind>),
    /// Any other type, described in words such as `flag definitions as JSON`.
    Other(&'static str),
}

impl Kind {
    /// The allowed words, if it is a choice.
    #[must_use]
    pub fn choices(&self) -> &'static [&'static str] {
        if let Self::Choice(words) = self { words } else { &[] }
    }

    /// The name of the type, as references show it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List(each) => format!("list of {}", each.name()),
            Self::Flag => "boolean".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Ip => "IP address".to_owned(),
            Self::Socket => "host:port".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Other(name) => (*name).to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Choice(words) => return write!(f, "one of {}", words.join(", ")),
            Self::List(each) => return write!(f, "a comma-separated list, each {each}"),
            Self::Flag => "true or false",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Secret => "a secret",
            Self::Path => "a path",
            Self::Ip => "an IP address",
            Self::Socket => "an address such as 127.0.0.1:8080",
            Self::Url => "a URL such as http://host:port",
            Self::Duration => "a duration such as 250ms, 5s, 2m or 1h30m",
            Self::Size => "a size such as 512, 64KiB or 1MiB",
            Self::Other(text) => text,
        })
    }
}
