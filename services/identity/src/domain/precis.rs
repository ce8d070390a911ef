//! Password normalization by RFC 8265 (profile OpaqueString): the same characters are the same password, whatever
//! normal form a keyboard produces.
//!
//! Spaces of all kinds become U+0020, the text is normalized to NFC, and the result must be of the FreeformClass (RFC
//! 8264, section 4.3): no controls, no invisible or unassigned code points, and joiners and a few marks only where they
//! have a meaning (RFC 5892, appendix A). Case and width are kept. The properties are those of the Unicode version of
//! the `icu` crates; RFC 8264 (section 9) allows newer versions.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, HangulSyllableType, JoiningType,
        NoncharacterCodePoint, Script,
    },
};

/// Why a text can't be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disallowed {
    /// It is empty.
    #[error("must be set")]
    Empty,
    /// A control, invisible or unassigned code point, or a joiner or mark where it has no meaning.
    #[error("must not contain U+{0:04X}")]
    CodePoint(u32),
}

/// The text in OpaqueString form.
///
/// # Errors
/// If it can't be a password.
pub fn opaque_string(text: &str) -> Result<String, Disallowed> {
    let is_space = |c: &char| category(*c) == GeneralCategory::SpaceSeparator;
    let spaced: String = text.chars().map(|c| if is_space(&c) { ' ' } else { c }).collect();
    let prepared = nfc(&spaced);
    if prepared.is_empty() {
        return Err(Disallowed::Empty);
    }
    let characters: Vec<char> = prepared.chars().collect();
    match (0..characters.len()).find(|at| !is_freeform(&characters, *at)) {
        Some(at) => Err(Disallowed::CodePoint(characters[at].into())),
        None => Ok(prepared),
    }
}

/// Normalization form C.
#[must_use]
pub fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// Normalization form KC, which replaces characters that only differ in appearance.
#[must_use]
pub fn nfkc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

/// Whether a character is invisible: texts that look the same could differ by it.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    use GeneralCategory as Gc;
    is_ignorable(c)
        || matches!(category(c), Gc::Format | Gc::Control | Gc::Unassigned | Gc::LineSeparator | Gc::ParagraphSeparator)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
}

/// The derived property of RFC 8264, section 8, for the FreeformClass; the order of the cases is the RFC's.
fn is_freeform(text: &[char], at: usize) -> bool {
    use GeneralCategory as Gc;
    let c = text[at];
    match c {
        // Exceptions (section 9.6).
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => return true,
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => {
            return has_context(text, at);
        }
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => return false,
        '\u{200c}' | '\u{200d}' => return joins(text, at),
        _ => {}
    }
    let jamo = CodePointMapData::<HangulSyllableType>::new().get(c);
    let old_jamo = [HangulSyllableType::LeadingJamo, HangulSyllableType::VowelJamo, HangulSyllableType::TrailingJamo];
    if old_jamo.contains(&jamo) || is_ignorable(c) {
        return false;
    }
    !matches!(
        category(c),
        Gc::Unassigned
            | Gc::Control
            | Gc::Format
            | Gc::Surrogate
            | Gc::PrivateUse
            | Gc::LineSeparator
            | Gc::ParagraphSeparator
    )
}

/// The rules for marks (RFC 5892, A.3 to A.9).
fn has_context(text: &[char], at: usize) -> bool {
    let script = |place: Option<&char>| place.map(|c| CodePointMapData::<Script>::new().get(*c));
    let (before, after) = (at.checked_sub(1).and_then(|before| text.get(before)), text.get(at + 1));
    match text[at] {
        '\u{b7}' => before == Some(&'l') && after == Some(&'l'),
        '\u{375}' => script(after) == Some(Script::Greek),
        '\u{5f3}' | '\u{5f4}' => script(before) == Some(Script::Hebrew),
        '\u{30fb}' => text.iter().any(|c| {
            matches!(script(Some(c)), Some(found) if [Script::Hiragana, Script::Katakana, Script::Han].contains(&found))
        }),
        // Two sets of digits that look alike must not be mixed.
        '\u{660}'..='\u{669}' => !text.iter().any(|c| ('\u{6f0}'..='\u{6f9}').contains(c)),
        _ => !text.iter().any(|c| ('\u{660}'..='\u{669}').contains(c)),
    }
}

/// The rules for joiners (RFC 5892, A.1 and A.2): after a virama, and the non-joiner between letters that would join.
fn joins(text: &[char], at: usize) -> bool {
    let before = &text[..at];
    let combining = CodePointMapData::<CanonicalCombiningClass>::new();
    if before.last().is_some_and(|c| combining.get(*c) == CanonicalCombiningClass::Virama) {
        return true;
    }
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let opaque = |c: &&char| joining(c) == JoiningType::Transparent;
    let (left, right) = (before.iter().rev().find(|c| !opaque(c)), text[at + 1..].iter().find(|c| !opaque(c)));
    let (Some(left), Some(right)) = (left.map(joining), right.map(joining)) else { return false };
    text[at] == '\u{200c}'
        && [JoiningType::LeftJoining, JoiningType::DualJoining].contains(&left)
        && [JoiningType::RightJoining, JoiningType::DualJoining].contains(&right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> u32 {
        match opaque_string(text) {
            Err(Disallowed::CodePoint(code)) => code,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn the_examples_of_rfc_8265_are_prepared_as_it_says() {
        // Section 4.3, examples 12 to 16.
        for same in
            ["correct horse battery staple", "Correct Horse Battery Staple", "\u{3c0}\u{df}\u{e5}", "Jack of \u{2666}s"]
        {
            assert_eq!(opaque_string(same).as_deref(), Ok(same));
        }
        assert_eq!(opaque_string("foo\u{1680}bar").as_deref(), Ok("foo bar"));
        // Examples 17 and 18.
        assert_eq!(opaque_string(""), Err(Disallowed::Empty));
        assert_eq!(refused("my cat is a \tby"), 9);
    }

    #[test]
    fn the_same_characters_are_the_same_password_in_either_normal_form_and_with_any_space() {
        let composed = opaque_string("p\u{e4}ssw\u{f6}rd caf\u{e9} \u{ac01}").unwrap();
        assert_eq!(
            opaque_string("pa\u{308}sswo\u{308}rd cafe\u{301} \u{1100}\u{1161}\u{11a8}").as_ref(),
            Ok(&composed)
        );
        assert_eq!(opaque_string("p\u{e4}ssw\u{f6}rd\u{a0}caf\u{e9}\u{3000}\u{ac01}").as_ref(), Ok(&composed));
        assert_ne!(opaque_string("P\u{e4}ssw\u{f6}rd caf\u{e9} \u{ac01}").as_ref(), Ok(&composed), "case stays");
        assert_eq!(opaque_string("\u{ff21}").as_deref(), Ok("\u{ff21}"), "width stays");
    }

    #[test]
    fn what_nobody_sees_or_knows_is_refused() {
        for (text, code) in [
            ("a\0b", 0),
            ("a\u{7f}b", 0x7f),
            ("a\u{ad}b", 0xad),
            ("a\u{200b}b", 0x200b),
            ("a\u{feff}b", 0xfeff),
            ("a\u{202e}b", 0x202e),
            ("a\u{2028}b", 0x2028),
            ("a\u{fdd0}b", 0xfdd0),
            ("a\u{e000}b", 0xe000),
            ("a\u{378}b", 0x378),
            ("a\u{640}b", 0x640),
            ("a\u{1100}b", 0x1100),
        ] {
            assert_eq!(refused(text), code, "{text:?}");
        }
    }

    #[test]
    fn joiners_and_marks_stand_only_where_they_mean_something() {
        // Persian mi-khaham; Devanagari ksha without its ligature.
        for sound in [
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "col\u{b7}legi",
        ] {
            assert_eq!(opaque_string(sound).as_deref(), Ok(sound));
        }
        assert_eq!(refused("a\u{200c}b"), 0x200c);
        assert_eq!(refused("a\u{200d}b"), 0x200d);
        assert_eq!(refused("a\u{b7}b"), 0xb7);
        assert_eq!(refused("\u{661}\u{6f1}"), 0x661);
        assert_eq!(refused("\u{5f3}"), 0x5f3);
        assert_eq!(opaque_string("\u{661}\u{662}").as_deref(), Ok("\u{661}\u{662}"));
    }

    #[test]
    fn a_prepared_password_stays_as_it_is() {
        for text in ["caf\u{e9} au lait", "\u{1f970} emoji of 2018", "\u{ff76}\u{ff9e}"] {
            let once = opaque_string(text).unwrap();
            assert_eq!(opaque_string(&once).as_ref(), Ok(&once));
        }
    }
}
