//! Detects payment card numbers: an issuer's prefix, 13 to 19 digits, with or without an issuer's grouping, and a valid
//! Luhn checksum.

/// Maximum number of digits, by ISO 7812.
const MAX_DIGITS: usize = 19;
const MIN_DIGITS: usize = 13;

/// The end of the card number that begins at `start`, if there is one. `start` is the first digit of a number.
pub(super) fn at(text: &[u8], start: usize) -> Option<usize> {
    // Card numbers begin with 2 to 6; timestamps in milliseconds or nanoseconds, which have as many digits, with 1.
    if !matches!(text[start], b'2'..=b'6') || start.checked_sub(1).is_some_and(|before| joined(text, before)) {
        return None;
    }
    let (mut digits, mut groups) = ([0_u8; MAX_DIGITS], [0_usize; 5]);
    let (mut count, mut group, mut at) = (0, 0, start);
    let mut separator = None;
    loop {
        match text.get(at) {
            Some(digit @ b'0'..=b'9') => {
                if count == MAX_DIGITS {
                    return None;
                }
                digits[count] = digit - b'0';
                count += 1;
                groups[group] += 1;
            }
            // The same separator between all groups, one character each.
            Some(between @ (b' ' | b'-'))
                if group < 4
                    && separator.is_none_or(|separator| separator == between)
                    && text.get(at + 1).is_some_and(u8::is_ascii_digit) =>
            {
                separator = Some(between);
                group += 1;
            }
            Some(next) if next.is_ascii_alphanumeric() => return None,
            _ => break,
        }
        at += 1;
    }
    // A hyphen before a grouped number means that it may be part of a UUID.
    let free = group == 0 || start == 0 || text[start - 1] != b'-';
    (free && grouped(&groups[..=group]) && issued(&digits[..count]) && luhn(&digits[..count])).then_some(at)
}

/// Whether the byte before a number makes it part of something else: a word, a hexadecimal id, a fraction.
fn joined(text: &[u8], before: usize) -> bool {
    text[before].is_ascii_alphanumeric()
        || (text[before] == b'.' && before.checked_sub(1).is_some_and(|whole| text[whole].is_ascii_digit()))
}

fn grouped(groups: &[usize]) -> bool {
    match groups {
        [_] | [4, 6, 4 | 5] => true,
        [4, 4, 4, last] | [4, 4, 4, 4, last] => (1..=4).contains(last),
        _ => false,
    }
}

/// Whether the prefix and length belong to an issuer.
fn issued(digits: &[u8]) -> bool {
    if digits.len() < MIN_DIGITS {
        return false;
    }
    let prefix = digits[..4].iter().fold(0_u32, |prefix, digit| prefix * 10 + u32::from(*digit));
    matches!(
        (prefix, digits.len()),
        (4000..=4999, 13 | 16 | 19)
            | (2200..=2204 | 2221..=2720 | 5100..=5599, 16)
            | (3400..=3499 | 3700..=3799, 15)
            | (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14..=19)
            | (3528..=3589, 16..=19)
            | (5000..=5099 | 5600..=5899 | 6000..=6999, _)
    )
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place.is_multiple_of(2) { *digit } else { doubled(*digit) }))
        .sum();
    sum.is_multiple_of(10)
}
