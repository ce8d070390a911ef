//! What is planted, and how it looks wherever it may turn up.

/// A password, of which no part could be anything else.
pub const PASSWORD: &str = "cAnary-hunter-7f3a91";
/// A token in the form of a JWT.
pub const TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJjYW5hcnkiOiJwbGFudGVkIn0.Q2FuYXJ5U2lnbmF0dXJlNDI";
/// A number that a card could have.
pub const CARD: &str = "4539148803436467";
/// An address.
pub const EMAIL: &str = "canary.9c41e7@leak.example";
/// Planted beside the others, and no secret: where nothing of it is found, nobody has looked.
pub const HARMLESS: &str = "canary-was-here";

/// The name that the user of [`EMAIL`] goes by: personal, but part of what identity tells the others.
pub const NAME: &str = "Canary Featherstonehaugh";

/// A secret, as it stands in free text.
pub const TEXTS: [&str; 5] = [
    "password=cAnary-hunter-7f3a91",
    TOKEN,
    "4539 1488 0343 6467",
    EMAIL,
    "4539148803436467 Bearer eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJjYW5hcnkiOiJwbGFudGVkIn0.Q2FuYXJ5U2lnbmF0dXJlNDI \
     canary.9c41e7@leak.example {\"password\":\"cAnary-hunter-7f3a91\"}",
];

/// What must not be found, in lower case: parts by which a secret that was cut, encoded or spelt otherwise is known.
const TRACES: [&str; 8] = [
    "canary-hunter",
    "eyjjyw5hcnkioi",
    "q2fuyxj5u2ln",
    "4539148803436467",
    "4539 1488",
    "4539-1488",
    "4539%201488",
    "canary.9c41e7",
];

/// The secrets in a text, each with what stands around it.
pub fn found(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let around = |at: usize, length: usize| {
        let begin = (0..=at.saturating_sub(160)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let end = (at + length + 80..).find(|at| text.is_char_boundary((*at).min(text.len()))).unwrap_or_default();
        text[begin..end.min(text.len())].replace('\n', " ")
    };
    TRACES.iter().filter_map(|trace| Some(around(lower.find(trace)?, trace.len()))).collect()
}

#[test]
fn every_mark_is_found_however_it_is_encoded() {
    for mark in [PASSWORD, TOKEN, CARD, EMAIL].into_iter().chain(TEXTS) {
        assert!(!found(&format!("ä before {mark} after ä")).is_empty(), "{mark}");
        assert!(!found(&mark.to_uppercase()).is_empty(), "{mark}");
    }
    assert!(found(&format!("{HARMLESS} {NAME} [secret] [card]")).is_empty());
}
