//! Statuses with details, no larger than a peer takes.
//!
//! A status travels in headers: the message percent-encoded in `grpc-message`, all of it once more in
//! `grpc-status-details-bin`, in base64. Peers refuse headers of more than 8 to 16 KiB (grpc-java and hyper by default), and what
//! they see then is a broken connection instead of an error. Callers have a say in the size: an error names each field at fault.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The most bytes of a message.
const MESSAGE: usize = 768;
/// The most bytes of one text of the details.
const TEXT: usize = 256;
/// The most bytes of all violations.
const VIOLATIONS: usize = 1_800;
/// What a violation takes beside its texts.
const FRAMING: usize = 12;

/// A status with these details. Texts that are too long are cut, and violations beyond the room are left out; the message says
/// how many.
#[must_use]
pub fn with_details(code: Code, message: &str, mut details: ErrorDetails) -> Status {
    let (mut room, mut left_out) = (VIOLATIONS, 0);
    if let Some(bad) = details.bad_request().cloned() {
        let kept =
            kept(bad.field_violations, &mut room, &mut left_out, |one| vec![&mut one.field, &mut one.description]);
        details.set_bad_request(kept);
    }
    if let Some(failure) = details.precondition_failure().cloned() {
        let kept =
            kept(failure.violations, &mut room, &mut left_out, |one| vec![&mut one.subject, &mut one.description]);
        details.set_precondition_failure(kept);
    }
    if let Some(failure) = details.quota_failure().cloned() {
        let kept =
            kept(failure.violations, &mut room, &mut left_out, |one| vec![&mut one.subject, &mut one.description]);
        details.set_quota_failure(kept);
    }
    let mut message = cut(message, MESSAGE);
    if left_out > 0 {
        message.push_str(&format!(" ({left_out} more are not listed)"));
    }
    Status::with_error_details(code, message, details)
}

/// The violations that there is room for.
fn kept<T>(
    violations: Vec<T>,
    room: &mut usize,
    left_out: &mut usize,
    texts: impl Fn(&mut T) -> Vec<&mut String>,
) -> Vec<T> {
    let mut kept = Vec::new();
    for mut violation in violations {
        let mut size = FRAMING;
        for text in texts(&mut violation) {
            *text = cut(text, TEXT);
            size += text.len();
        }
        if size <= *room {
            *room -= size;
            kept.push(violation);
        } else {
            *room = 0;
            *left_out += 1;
        }
    }
    kept
}

/// The text, or its beginning with an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(status: &Status) -> usize {
        status
            .clone()
            .into_http::<()>()
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum()
    }

    #[test]
    fn what_fits_is_told_whole() {
        let mut details = ErrorDetails::with_error_info("R", "d", [("k".to_owned(), "v".to_owned())]);
        details.add_bad_request_violation("a", "must be set").add_precondition_failure_violation("STOCK", "b", "gone");
        let status = with_details(Code::InvalidArgument, "a: must be set", details.clone());
        assert_eq!(status.message(), "a: must be set");
        assert_eq!(
            status.details(),
            Status::with_error_details(Code::InvalidArgument, "a: must be set", details).details()
        );
    }

    #[test]
    fn a_thousand_faults_fit_into_the_headers_that_a_peer_takes() {
        let long = "\u{20ac}".repeat(1_000);
        let mut details =
            ErrorDetails::with_error_info("INVALID_ARGUMENT", "flotilla", std::collections::HashMap::new());
        for number in 0..1_000 {
            details.add_bad_request_violation(format!("lines[{number}]"), "must be set");
            details.add_precondition_failure_violation("STOCK", &long, &long);
            details.add_quota_failure_violation(&long, &long);
        }
        let status = with_details(Code::InvalidArgument, &long, details);
        assert!(headers(&status) < 7_500, "{}", headers(&status));
        let told = status.get_error_details();
        let told = told.bad_request().expect("some are told").field_violations.len();
        assert!(told > 20, "{told}");
        assert!(status.message().ends_with("more are not listed)"), "{}", status.message());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("\u{20ac}\u{20ac}\u{20ac}", 9), "\u{20ac}\u{20ac}\u{20ac}");
        assert_eq!(cut("\u{20ac}\u{20ac}\u{20ac}\u{20ac}", 10), "\u{20ac}\u{20ac}…");
    }
}
