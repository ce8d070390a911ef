//! `fractional`: a share of the users for each variant.
//!
//! The user's key is hashed (MurmurHash3 of its CBOR form, with the flag's name unless the rule names a key) to a number
//! in [0, 1), and the variants divide this interval in the order in which they are listed. So users keep their variant,
//! and while the share of the *first* variant grows, no user leaves it.

use datalogic_rs::bumpalo::Bump;
use datalogic_rs::operator::EvalContext;
use datalogic_rs::{ArenaExt as _, CustomOperator, DataValue};
use serde_json::Value;

use crate::definition::BadDefinition;

/// Maximum sum of the weights of one rule.
const MAX_WEIGHT: u64 = i32::MAX as u64;

/// The operator.
pub(crate) struct Fractional;

impl CustomOperator for Fractional {
    fn evaluate<'a>(
        &self,
        args: &[&'a DataValue<'a>],
        context: &mut EvalContext<'_, 'a>,
        arena: &'a Bump,
    ) -> datalogic_rs::Result<&'a DataValue<'a>> {
        Ok(choose(args, context.root_input()).unwrap_or_else(|| arena.null()))
    }
}

/// The variant of the user; `None` if the user isn't known or the shares are invalid.
fn choose<'a>(args: &[&'a DataValue<'a>], root: &DataValue<'a>) -> Option<&'a DataValue<'a>> {
    let mut key = Vec::with_capacity(96);
    let shares = match args.split_first()? {
        (DataValue::Array(_), _) => {
            let user = root.get("targetingKey")?.as_str().filter(|user| !user.is_empty())?;
            let flag = root.get("$flagd")?.get("flagKey")?.as_str()?;
            key.push(0x82);
            cbor_text(flag, &mut key);
            cbor_text(user, &mut key);
            args
        }
        (DataValue::String(by), shares) => {
            cbor_text(by, &mut key);
            shares
        }
        (DataValue::Number(by), shares) => {
            cbor_number(by.as_i64()?, &mut key);
            shares
        }
        _ => return None,
    };
    let share = |value: &'a DataValue<'a>| -> Option<(&'a DataValue<'a>, u64)> {
        match value.as_array()? {
            [variant] => Some((variant, 1)),
            [variant, weight] => Some((variant, u64::try_from(weight.as_i64()?.max(0)).ok()?)),
            _ => None,
        }
    };
    let shares: Vec<_> = shares.iter().map(|value| share(value)).collect::<Option<_>>()?;
    let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
    if total == 0 || total > MAX_WEIGHT {
        return None;
    }
    let place = (u64::from(murmur3(&key)) * total) >> 32;
    let mut end = 0;
    shares.into_iter().find_map(|(variant, weight)| {
        end += weight;
        (place < end).then_some(variant)
    })
}

/// Encodes a definite-length text string.
fn cbor_text(text: &str, to: &mut Vec<u8>) {
    cbor_head(0x60, text.len() as u64, to);
    to.extend_from_slice(text.as_bytes());
}

fn cbor_number(number: i64, to: &mut Vec<u8>) {
    match u64::try_from(number) {
        Ok(number) => cbor_head(0x00, number, to),
        Err(_) => cbor_head(0x20, !number as u64, to),
    }
}

/// Encodes a major type with its argument in the shortest form.
#[expect(clippy::cast_possible_truncation, reason = "the bounds of each arm guarantee that it fits")]
fn cbor_head(major: u8, argument: u64, to: &mut Vec<u8>) {
    match argument {
        0..=23 => to.push(major | argument as u8),
        24..=0xff => to.extend([major | 24, argument as u8]),
        0x100..=0xffff => {
            to.push(major | 25);
            to.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            to.push(major | 26);
            to.extend((argument as u32).to_be_bytes());
        }
        _ => {
            to.push(major | 27);
            to.extend(argument.to_be_bytes());
        }
    }
}

/// MurmurHash3, 32 bits, with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let scrambled = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash: u32 = 0;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        let block = block.iter().rev().fold(0, |block, byte| block << 8 | u32::from(*byte));
        hash = (hash ^ scrambled(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        hash ^= scrambled(rest.iter().rev().fold(0, |block, byte| block << 8 | u32::from(*byte)));
    }
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// Refuses shares that can't select a variant, when the definition is parsed instead of at evaluation.
pub(crate) fn check_shares(rule: &Value, variants: &[&str]) -> Result<(), BadDefinition> {
    match rule {
        Value::Object(fields) => {
            for (operator, inner) in fields {
                if operator == "fractional" {
                    check_one(inner, variants)?;
                }
                check_shares(inner, variants)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_shares(item, variants)),
        _ => Ok(()),
    }
}

fn check_one(shares: &Value, variants: &[&str]) -> Result<(), BadDefinition> {
    let wrong = |what: &str| Err(BadDefinition(format!("has a fractional rule {what}")));
    let Value::Array(items) = shares else { return wrong("without a list of shares") };
    // Before the shares, a rule may name the key that is hashed.
    let listed = items.iter().skip_while(|item| !item.is_array());
    let (mut total, mut count) = (0_u64, 0);
    for item in listed {
        let Value::Array(share) = item else { return wrong("with something between its shares") };
        let (Some(Value::String(variant)), 1..=2) = (share.first(), share.len()) else {
            return wrong("with a share that isn't [variant, weight]");
        };
        if !variants.contains(&variant.as_str()) {
            return wrong(&format!("with a share for {variant:?}, which isn't among the variants"));
        }
        let weight = match share.get(1) {
            None => Some(1),
            Some(weight) => weight.as_u64(),
        };
        let Some(weight) = weight else { return wrong("with a weight that isn't an integer of at least 0") };
        total = total.saturating_add(weight);
        count += 1;
    }
    if count == 0 || total == 0 || total > MAX_WEIGHT {
        return wrong("whose weights sum to 0 or to more than 2147483647");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_murmur3() {
        for (text, hash) in
            [("", 0), ("a", 0x3c25_69b2), ("ab", 0x9bbf_d75f), ("abc", 0xb3dd_93fa), ("abcd", 0x43ed_676a)]
        {
            assert_eq!(murmur3(text.as_bytes()), hash, "{text:?}");
        }
        assert_eq!(murmur3(b"Hello, world!"), 0xc036_3e43);
    }

    #[test]
    fn keys_are_written_in_the_shortest_form() {
        let text = |text: &str| {
            let mut to = Vec::new();
            cbor_text(text, &mut to);
            to
        };
        assert_eq!(text("a"), [0x61, b'a']);
        assert_eq!(text(&"x".repeat(24))[..2], [0x78, 24]);
        assert_eq!(text(&"x".repeat(300))[..3], [0x79, 1, 44]);
        let number = |number| {
            let mut to = Vec::new();
            cbor_number(number, &mut to);
            to
        };
        assert_eq!((number(10), number(-1), number(500)), (vec![0x0a], vec![0x20], vec![0x19, 1, 244]));
    }
}
