//! The known attacks on signed tokens, each refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::tests::{NOW, SKEW, ours, signer, somebody, with_our_key};
use super::*;

/// The private key in DER that a seed stands for.
fn key(seed: u8) -> EncodingKey {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend_from_slice(&[seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn claims() -> Value {
    json!({
        "iss": "flotilla-identity", "aud": "flotilla", "sub": Uuid::from_u128(7), "sid": Uuid::from_u128(70),
        "role": "customer", "iat": NOW, "exp": NOW + 60,
    })
}

/// Our claims with some in place of others; null takes a claim away.
#[allow(clippy::needless_pass_by_value, reason = "the changes are literals")]
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".to_owned());
    header
}

/// Any claims, signed with our own key.
fn signed(claims: &Value) -> String {
    jsonwebtoken::encode(&header(), claims, &key(1)).unwrap()
}

/// Any header before our claims, signed with our own key: nothing but the header can be at fault.
fn under(header: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key(1), Algorithm::EdDSA).unwrap();
    format!("{text}.{signature}")
}

#[track_caller]
fn refused(token: &str, what: &str) {
    let (authenticator, _) = with_our_key();
    let answer = futures::executor::block_on(authenticator.verify(token));
    assert_eq!(answer, Err(AuthError::Invalid), "{what}");
}

#[track_caller]
fn accepted(token: &str, what: &str) {
    let (authenticator, _) = with_our_key();
    assert_eq!(futures::executor::block_on(authenticator.verify(token)), Ok(somebody()), "{what}");
}

#[test]
fn the_token_that_all_attacks_start_from_is_good() {
    accepted(&signed(&claims()), "claims");
    accepted(&under(r#"{"alg":"EdDSA","kid":"k1"}"#), "a header by hand");
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","kid":"k1"}}"#));
        refused(&format!("{header}.{body}."), alg);
        refused(&format!("{header}.{body}"), alg);
        refused(&under(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#)), alg);
    }
    let good = signed(&claims());
    let unsigned = &good[..=good.rfind('.').unwrap()];
    refused(unsigned, "EdDSA with an empty signature");
}

#[test]
fn the_public_key_is_not_accepted_as_an_hmac_secret() {
    let jwk = ours().jwk();
    let raw = URL_SAFE_NO_PAD.decode(&jwk.x).unwrap();
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let mut confused = header();
        confused.alg = algorithm;
        for secret in [raw.as_slice(), jwk.x.as_bytes(), &[1; 32]] {
            let token = jsonwebtoken::encode(&confused, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            refused(&token, "the public key as a shared secret");
        }
    }
    for alg in ["RS256", "ES256", "PS256", "Ed448", "eddsa", "EdDSA "] {
        refused(&under(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#)), alg);
    }
}

#[test]
fn a_key_id_is_only_compared() {
    let huge = "k".repeat(3000);
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "k1\u{0}",
        "k1' OR '1'='1",
        "k1; DROP TABLE signing_keys",
        "https://attacker.example/key",
        "K1",
        " k1",
        "",
        &huge,
    ] {
        refused(&under(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#)), kid);
    }
    for header in [r#"{"alg":"EdDSA"}"#, r#"{"alg":"EdDSA","kid":null}"#, r#"{"alg":"EdDSA","kid":["k1"]}"#] {
        refused(&under(header), header);
    }
}

#[test]
fn keys_and_addresses_of_keys_in_a_header_are_ignored() {
    let theirs = signer(2, "k1", "", "").jwk();
    let embedded = format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{}","kid":"k1","alg":"EdDSA"}}"#, theirs.x);
    let urls = [r#""jku":"https://attacker.example/jwks.json""#, r#""x5u":"https://attacker.example/chain.pem""#];
    for field in [embedded.as_str(), urls[0], urls[1]] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"k1",{field}}}"#);
        accepted(&under(&header), "a token of the fleet stays valid");
        let ours = under(&header);
        let text = &ours[..ours.rfind('.').unwrap()];
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key(2), Algorithm::EdDSA).unwrap();
        refused(&format!("{text}.{signature}"), field);
    }
}

#[test]
fn a_header_with_duplicate_or_critical_parameters_is_refused() {
    refused(&under(r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k1"}"#), "alg twice");
    refused(&under(r#"{"alg":"none","alg":"EdDSA","kid":"k1"}"#), "two algorithms");
    refused(&under(r#"{"alg":"EdDSA","kid":"k1","kid":"k1"}"#), "kid twice");
    refused(&under(r#"{"alg":"EdDSA","kid":"k1","crit":["b64"],"b64":false}"#), "a critical extension");
}

#[test]
fn every_claim_is_required_and_times_are_numbers() {
    for claim in ["iss", "aud", "sub", "sid", "role", "exp"] {
        refused(&signed(&with(json!({ claim: null }))), claim);
        refused(&signed(&with(json!({ claim: "" }))), claim);
    }
    for time in ["exp", "iat", "nbf"] {
        for value in [
            json!((NOW + 60).to_string()),
            json!("2030-01-01T00:00:00Z"),
            json!(-1),
            json!(1e300),
            json!([NOW + 60]),
            json!(true),
            json!(u64::MAX),
        ] {
            refused(&signed(&with(json!({ time: value }))), time);
        }
    }
    refused(&signed(&with(json!({ "exp": i64::MAX }))), "an expiry that can't be represented");
    for (claim, value) in [("sub", json!("admin")), ("sub", json!(7)), ("role", json!("root")), ("sid", json!("x"))] {
        refused(&signed(&with(json!({ claim: value }))), claim);
    }
}

#[test]
fn other_issuers_and_audiences_are_refused() {
    for (claim, value) in [
        ("iss", json!("another")),
        ("iss", json!("Flotilla-Identity")),
        ("aud", json!("another")),
        ("aud", json!(["another", "third"])),
        ("aud", json!([])),
    ] {
        refused(&signed(&with(json!({ claim: value }))), claim);
    }
    accepted(&signed(&with(json!({ "aud": ["another", "flotilla"] }))), "one of several audiences");
}

#[test]
fn a_token_issued_in_the_future_is_accepted_only_within_the_clock_skew() {
    for claim in ["nbf", "iat"] {
        accepted(&signed(&with(json!({ claim: NOW + SKEW }))), claim);
        refused(&signed(&with(json!({ claim: NOW + SKEW + 1 }))), claim);
    }
}

#[test]
fn an_oversized_token_is_not_checked() {
    let padding = "x".repeat(MAX_TOKEN);
    refused(&signed(&with(json!({ "padding": padding }))), "larger than any token of the fleet");
    refused(&"a.".repeat(MAX_TOKEN), "dots");
}
