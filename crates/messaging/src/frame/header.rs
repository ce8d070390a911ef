//! The header of a broker message that says which frames it holds: `<id>:<bytes>`, separated by commas.

use std::fmt::Write as _;

use uuid::Uuid;

/// The header's name.
pub const FRAMES_HEADER: &str = "Flotilla-Frames";

/// A frame within a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePart {
    /// The frame's id.
    pub id: Uuid,
    /// The length of its payload.
    pub bytes: usize,
}

/// The header's value.
#[must_use]
pub fn write_frames(parts: &[FramePart]) -> String {
    let mut value = String::with_capacity(parts.len() * 42);
    for FramePart { id, bytes } in parts {
        let comma = if value.is_empty() { "" } else { "," };
        // Writing to a String can't fail.
        let _ = write!(value, "{comma}{}:{bytes}", id.as_simple());
    }
    value
}

/// Parses the header of a message with a payload of `length` bytes. `None` if it is malformed or the lengths don't add
/// up: then it is unknown which frames the message holds.
#[must_use]
pub fn parse_frames(value: &str, length: usize) -> Option<Vec<FramePart>> {
    let mut parts = Vec::new();
    let mut rest = length;
    for part in value.split(',') {
        let (id, bytes) = part.split_once(':')?;
        let (id, bytes) = (Uuid::try_parse(id).ok()?, bytes.parse().ok().filter(|bytes| *bytes > 0)?);
        rest = rest.checked_sub(bytes)?;
        parts.push(FramePart { id, bytes });
    }
    (rest == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let parts = [(1, 70), (u128::MAX, 65_536)].map(|(id, bytes)| FramePart { id: Uuid::from_u128(id), bytes });
        let value = write_frames(&parts);
        assert_eq!(value, "00000000000000000000000000000001:70,ffffffffffffffffffffffffffffffff:65536");
        assert_eq!(parse_frames(&value, 65_606).as_deref(), Some(parts.as_slice()));
    }

    #[test]
    fn a_header_whose_lengths_do_not_add_up_says_nothing() {
        let id = Uuid::nil().as_simple().to_string();
        for value in ["", ":", "x:1", "1", &format!("{id}:0"), &format!("{id}:99"), &format!("{id}:10,{id}:-1")] {
            assert_eq!(parse_frames(value, 10), None, "{value}");
        }
        assert_eq!(parse_frames(&format!("{id}:9"), 10), None);
        assert_eq!(parse_frames(&format!("{id}:11"), 10), None);
        assert_eq!(parse_frames(&format!("{id}:18446744073709551615,{id}:11"), 10), None);
    }
}
