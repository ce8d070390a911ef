use super::*;

fn assert_clean(text: &str) {
    assert!(matches!(scrub(text), Cow::Borrowed(_)), "{:?} became {:?}", text, scrub(text));
}

fn assert_scrubbed(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let once = scrub(text);
        assert_eq!(once, *expected, "from {text:?}");
        assert_eq!(scrub(&once), *expected, "scrubbed twice");
    }
}

#[test]
fn text_without_secrets_is_unchanged() {
    for text in [
        "",
        "order placed",
        r#"{"timestamp":"2026-11-23T03:19:15.123456Z","level":"INFO","message":"order placed","order_id":7}"#,
        "request_id=018f3c2a-4111-4111-8111-111111111111 took_us=1732330000000",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "trace 4111111111111111abcdef0123456789 and 0.4111111111111111",
        "a 16 digit number that is no card: 4111111111111112",
        "nanoseconds 1732330000000000000, milliseconds 1732330000123",
        "12:34:56 a=b c: d {e: f} b e $ % 100%",
        "user.password: must be set; user.password: 8 to 256 characters; the token: expired.",
        "password=[secret] token: None, \"secret\":null, tokens=5",
        "bearer token expected, basic authentication refused, Bearer",
        "postgres://localhost:5432/orders nats://127.0.0.1:4222",
        "an @ alone, @home, a@ ",
        "ключ и значение: не секрет",
    ] {
        assert_clean(text);
    }
}

#[test]
fn cards_are_masked_with_and_without_separators() {
    assert_scrubbed(&[
        ("paid with 4111111111111111 today", "paid with [card] today"),
        ("4111 1111 1111 1111", "[card]"),
        ("card=4111-1111-1111-1111;", "card=[card];"),
        ("amex 3782 822463 10005.", "amex [card]."),
        ("key order-5555555555554444", "key order-[card]"),
        ("2026-11-23 5555 5555 5555 4444", "2026-11-23 [card]"),
        (r#"{"card":"4111111111111111"}"#, r#"{"card":"[card]"}"#),
        (r#"{"card":4111111111111111,"b":1}"#, r#"{"card":9999999999999999,"b":1}"#),
        (r#"{"m":"{\"card\":4111111111111111}"}"#, r#"{"m":"{\"card\":9999999999999999}"}"#),
    ]);
}

#[test]
fn cards_of_every_length_that_issuers_use_are_masked() {
    for card in [
        "4222222222222",       // 13: Visa
        "30569309025904",      // 14: Diners Club
        "38520000023237",      // 14: Diners Club
        "378282246310005",     // 15: American Express
        "5555555555554444",    // 16: Mastercard
        "5018012345671",       // 13: Maestro
        "4917610000000000003", // 19: Visa
        "6205500000000000004", // 19: UnionPay
        "3528012345678901234", // 19: JCB
    ] {
        assert_eq!(scrub(&format!("paid with {card} today")), "paid with [card] today", "{card}");
        assert_eq!(scrub(&format!("{{\"card\":{card}}}")), format!("{{\"card\":{}}}", "9".repeat(card.len())));
    }
    assert_scrubbed(&[
        ("6205 5000 0000 0000 004", "[card]"),
        ("3056-930902-5904", "[card]"),
        ("4222 2222 2222 2", "[card]"),
    ]);
    // The checksum is valid, but no card of that issuer has this length.
    for number in ["501801234565", "40123456789017", "401234567890124", "40123456789012343", "401234567890123454"] {
        assert_clean(&format!("order {number} today"));
    }
    for (card, more) in [("6205500000000000004", "0"), ("4917610000000000003", "00")] {
        assert_clean(&format!("order {card}{more} today"));
    }
}

#[test]
fn tokens_are_masked() {
    let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
    assert_scrubbed(&[
        (&format!("got {jwt}, refused"), "got [token], refused"),
        (&format!("authorization: Bearer {jwt}"), "authorization: Bearer [token]"),
        (r#"{"authorization":"bearer abc.DEF-123"}"#, r#"{"authorization":"bearer [token]"}"#),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [token]"),
        ("refresh_token=Zm9vYmFy&x=1", "refresh_token=[secret]&x=1"),
        ("hash $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA kept", "hash [secret] kept"),
    ]);
}

#[test]
fn email_addresses_are_masked() {
    assert_scrubbed(&[
        ("ann@example.com signed up", "[email] signed up"),
        ("<ann.o'neill+x@example.co.uk>.", "<ann.o'[email]>."),
        ("?email=ann%40example.com&page=2", "?email=[email]&page=2"),
        ("to jürgen@exämple.de!", "to [email]!"),
        (r#"{"email":"ann@example.com"}"#, r#"{"email":"[email]"}"#),
        ("a@b@c", "[email]@c"),
        ("mailto:ann@example.com,bob@example.com", "mailto:[email],[email]"),
    ]);
}

#[test]
fn values_of_secret_names_are_masked() {
    assert_scrubbed(&[
        ("password=hunter2 user=ann", "password=[secret] user=ann"),
        ("PASSWORD: hunter2, next", "PASSWORD: [secret], next"),
        (r#"{"user":{"password":"a \"quoted\" one","n":1}}"#, r#"{"user":{"password":"[secret]","n":1}}"#),
        (r#"{"m":"{\"password\":\"x y\",\"n\":1}"}"#, r#"{"m":"{\"password\":\"[secret]\",\"n\":1}"}"#),
        (r#"Login { email: "a", password: "correct horse" }"#, r#"Login { email: "a", password: "[secret]" }"#),
        (r#"User { password: Some("correct horse") }"#, r#"User { password: Some("[secret]") }"#),
        ("password='it is' x", "password='[secret]' x"),
        ("client_secret=abc api-key: 12ab", "client_secret=[secret] api-key: [secret]"),
        ("password=\"never closed", "password=\"[secret]"),
        ("токен token=секрет.", "токен token=[secret]"),
    ]);
}

#[test]
fn a_value_with_the_name_of_a_secret_is_masked_as_a_whole() {
    assert_eq!(scrub_value("user.password", "any words"), "[secret]");
    assert_eq!(scrub_value("Authorization", "x"), "[secret]");
    assert_eq!(scrub_value("page", "ann@example.com"), "[email]");
    assert_eq!(scrub_value("page", "any words"), "any words");
}

#[test]
fn credentials_of_urls_are_masked() {
    assert_scrubbed(&[
        ("postgres://orders:hunter2@localhost:5432/x", "postgres://orders:[secret]@localhost:5432/x"),
        ("nats://token@localhost:4222", "nats://[secret]@localhost:4222"),
        ("at redis://:p@ss@host/0 now", "at redis://:[secret]@host/0 now"),
    ]);
}

#[test]
fn masking_types_show_a_mask_everywhere() {
    let (name, token) = (Personal::new("Ann"), Secret::from("hunter2".to_owned()));
    for text in [format!("{name}{name:?}"), format!("{token}{token:?}{:?}", Some(&token))] {
        assert!(!text.contains("Ann") && !text.contains("hunter2"), "{text}");
    }
    #[derive(serde::Serialize)]
    struct Person {
        name: Personal<&'static str>,
        token: Secret<String>,
    }
    let debugged = format!("{:?}", scrub("nothing"));
    assert_eq!(debugged, "\"nothing\"");
    let json = serde_json::to_string(&Person { name, token: token.clone() }).unwrap();
    assert_eq!(json, r#"{"name":"[personal]","token":"[secret]"}"#);
    assert_eq!((*name.expose(), token.into_exposed().as_str()), ("Ann", "hunter2"));
    assert_eq!(*serde_json::from_str::<Personal<u8>>("7").unwrap().expose(), 7);
}

#[test]
fn scrub_never_panics() {
    // All combinations of three parts of patterns.
    let parts = [
        "password=",
        "\"token\":\"",
        "@",
        "a",
        "ä",
        "4111 1111 1111 1111",
        "eyJa.b",
        "Bearer A1b2c3",
        "://",
        ":",
        "\\\"",
        " ",
        "$argon2x",
        "%40",
        "Some(",
    ];
    for a in parts {
        for b in parts {
            for c in parts {
                let _ = scrub(&format!("{a}{b}{c}"));
            }
        }
    }
}

/// A measurement: `cargo test --release -p flotilla-redact cost -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn cost_of_a_line() {
    let lines = [
        (
            "json, clean",
            r#"{"timestamp":"2026-11-23T03:19:15.123456Z","level":"INFO","message":"order confirmed","order_id":"018f3c2a-1b2c-7d3e-8f40-123456789012","took_us":1834,"target":"flotilla_orders::saga","span":{"method":"flotilla.orders.v1.OrderService/PlaceOrder","request_id":"018f3c2a-1b2c-7d3e-8f40-123456789012","name":"rpc"}}"#,
        ),
        (
            "compact, clean",
            "2026-11-23T03:19:15.123456Z  INFO rpc: flotilla_orders::saga: order confirmed order_id=018f3c2a-1b2c-7d3e-8f40-123456789012 took_us=1834",
        ),
        (
            "json, an address",
            r#"{"timestamp":"2026-11-23T03:19:15.123456Z","level":"INFO","message":"mail sent","to":"ann@example.com","took_us":1834,"target":"flotilla_notification::mail"}"#,
        ),
    ];
    for (what, line) in lines {
        let began = std::time::Instant::now();
        let rounds = 200_000_u32;
        for _ in 0..rounds {
            std::hint::black_box(scrub(std::hint::black_box(line)));
        }
        println!("{what}: {} bytes, {:?} a line", line.len(), began.elapsed() / rounds);
    }
}
