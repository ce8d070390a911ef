//! Sizes as people write them: `512`, `64KiB`, `1MiB`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes; written as a number or with the units `B`, `KiB`, `MiB` and `GiB` (of 1,024), `KB`, `MB` and `GB`
/// (of 1,000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// That many times 1,024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// That many times 1,048,576 bytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes; `usize::MAX` if this machine can't address as many.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The text isn't a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 512, 64KiB or 1MiB")]
pub struct SizeSyntax;

impl FromStr for ByteSize {
    type Err = SizeSyntax;

    fn from_str(text: &str) -> Result<Self, SizeSyntax> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| SizeSyntax)?;
        let unit = match text[digits..].trim_start() {
            "" => 1,
            name => UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).ok_or(SizeSyntax)?.1,
        };
        number.checked_mul(unit).map(Self).ok_or(SizeSyntax)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |size: u64| self.0 >= size && self.0.is_multiple_of(size);
        match UNITS.iter().take(3).find(|(_, size)| fits(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_size_parses_to_the_same_size() {
        for (text, bytes) in [("512", 512), ("64KiB", 65_536), ("1 MiB", 1_048_576), ("2gb", 2_000_000_000), ("0", 0)] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert_eq!(ByteSize::mib(1).to_string(), "1MiB");
        for text in ["", "KiB", "-1", "1.5MiB", "1 XiB", "99999999999GiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(SizeSyntax), "{text:?}");
        }
    }
}
