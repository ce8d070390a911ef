//! Reads protobuf's wire format field by field (<https://protobuf.dev/programming-guides/encoding/>).

/// The wire types that begin and end a group.
const GROUP: u64 = 3;
const GROUP_END: u64 = 4;

/// A field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A varint; also what fixed-size numbers are read as.
    Number(u64),
    /// A string, message, or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of an encoded message; ends early at what can't be read, which the decoder then tells.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = varint(&mut self.0)?;
            let number = u32::try_from(key >> 3).ok()?;
            let value = match key & 7 {
                // Groups are obsolete, but decoders skip those of unknown fields, so this must too; otherwise whatever
                // follows one would go unchecked.
                GROUP => {
                    skip_group(&mut self.0)?;
                    continue;
                }
                wire => self.value(wire)?,
            };
            return Some((number, value));
        }
    }
}

impl<'a> Fields<'a> {
    fn value(&mut self, wire: u64) -> Option<Value<'a>> {
        Some(match wire {
            0 => Value::Number(varint(&mut self.0)?),
            1 => Value::Number(u64::from_le_bytes(take(&mut self.0, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                Value::Bytes(take(&mut self.0, length)?)
            }
            5 => Value::Number(u64::from(u32::from_le_bytes(take(&mut self.0, 4)?.try_into().ok()?))),
            _ => return None,
        })
    }
}

/// Skips the rest of a group whose start tag was read, with nested groups.
fn skip_group(from: &mut &[u8]) -> Option<()> {
    let mut open = 1_u32;
    while open > 0 {
        match varint(from)? & 7 {
            GROUP => open += 1,
            GROUP_END => open -= 1,
            wire => {
                let mut fields = Fields(from);
                fields.value(wire)?;
                *from = fields.0;
            }
        }
    }
    Some(())
}

/// Reads a varint of at most ten bytes.
pub(crate) fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}
