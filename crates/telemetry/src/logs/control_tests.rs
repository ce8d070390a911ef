use super::super::tests::logged_under;
use super::*;
use crate::settings::LogFormat;

const MINUTE: Duration = Duration::from_secs(60);

fn control() -> LogControl {
    LogControl::new("info", "telemetry.filter").unwrap()
}

/// Two calls, each logged about from inside, from a span below and from outside.
fn calls() {
    for user in ["u-1", "u-2"] {
        let call = tracing::info_span!("rpc", user);
        call.in_scope(|| {
            tracing::debug!("before the caller is known");
            crate::caller_is(&user);
            tracing::debug!(of = user, "inside");
            tracing::info_span!("below").in_scope(|| tracing::debug!(of = user, "below"));
            tracing::trace!(of = user, "too fine");
            tracing::debug!(target: "h2::codec", of = user, "frame");
        });
        tracing::debug!(parent: &call, of = user, "ended");
    }
    tracing::info!("as ever");
}

#[test]
fn one_users_calls_are_logged_closely_and_nobody_elses() {
    let control = control();
    let silent = logged_under(&control, LogFormat::Compact, calls);
    assert_eq!(silent.lines().count(), 1, "{silent}");
    control.set(LogScope::User("users/U-1".to_owned()), "debug", MINUTE).unwrap();
    let text = logged_under(&control, LogFormat::Compact, calls);
    for line in ["inside of=\"u-1\"", "below of=\"u-1\"", "ended of=\"u-1\"", "as ever"] {
        assert!(text.contains(line), "{line} isn't in {text}");
    }
    for line in ["of=\"u-2\"", "before", "too fine", "frame", "flotilla::caller"] {
        assert!(!text.contains(line), "{line} is in {text}");
    }
    control.reset();
    assert_eq!(logged_under(&control, LogFormat::Compact, calls).lines().count(), 1);
}

#[test]
fn one_module_or_all_are_logged_closely() {
    let control = control();
    let events = || {
        tracing::debug!(target: "flotilla_orders::saga", "saga");
        tracing::debug!(target: "flotilla_orders", "orders");
        tracing::debug!(target: "flotilla_payments", "payments");
    };
    control.set(LogScope::Module("flotilla_orders::saga".to_owned()), "trace", MINUTE).unwrap();
    let text = logged_under(&control, LogFormat::Compact, events);
    assert!(text.contains("saga") && text.lines().count() == 1, "{text}");
    control.set(LogScope::All, "debug,flotilla_payments=off", MINUTE).unwrap();
    let text = logged_under(&control, LogFormat::Compact, events);
    assert!(text.contains("saga") && text.contains("orders") && !text.contains("payments"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_rule_falls_back_by_itself() {
    let control = control();
    let keeping = tokio::spawn(control.clone().keep(None));
    control.set(LogScope::All, "debug", 2 * MINUTE).unwrap();
    control.set(LogScope::User("u-1".to_owned()), "trace", MINUTE).unwrap();
    assert_eq!(control.state().rules.len(), 2);
    assert_eq!(control.state().rules[1].ends_in_s, 60);
    tokio::time::sleep(MINUTE + Duration::from_millis(1)).await;
    assert_eq!(control.state().rules[0].scope, LogScope::All);
    let debug = || tracing::debug!("fine");
    assert!(logged_under(&control, LogFormat::Compact, debug).contains("fine"));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(control.state().rules, []);
    assert_eq!(logged_under(&control, LogFormat::Compact, debug), "");
    keeping.abort();
}

#[tokio::test]
async fn the_setting_is_followed_and_a_bad_one_is_not() {
    let control = control();
    let setting = flotilla_config::Live::new("info".to_owned());
    let keeping = tokio::spawn(control.clone().keep(Some(setting.subscribe())));
    let until = async |wanted: &str| {
        while control.state().filter != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::task::yield_now().await;
    setting.set("debug".to_owned());
    tokio::time::timeout(MINUTE, until("debug")).await.unwrap();
    assert!(logged_under(&control, LogFormat::Compact, || tracing::debug!("fine")).contains("fine"));
    assert!(control.set_filter("=,=").is_err());
    assert_eq!(control.state().filter, "debug");
    keeping.abort();
}

#[test]
fn a_rule_that_cant_be_is_refused() {
    let control = control();
    let user = || LogScope::User("u-1".to_owned());
    for (wrong, said) in
        [("debgu", "log level \"debgu\"; use one of"), ("loud", "use one of off, error"), ("", "unknown log level")]
    {
        let refusal = control.set(user(), wrong, MINUTE).unwrap_err().to_string();
        assert!(refusal.contains(said), "{wrong}: {refusal}");
        assert!(control.set(LogScope::All, wrong, MINUTE).is_err(), "{wrong}");
    }
    let module = LogScope::Module("flotilla_order::saga".to_owned());
    assert!(control.set(module, "debug", MINUTE).unwrap_err().to_string().contains("did you mean flotilla_orders?"));
    assert_eq!(control.state().rules, []);
    assert_eq!(control.set(user(), "debug", Duration::ZERO), Err(LogRuleError::Duration));
    assert_eq!(control.set(user(), "debug", LONGEST * 2), Err(LogRuleError::Duration));
    for (scope, told) in [
        (LogScope::Module("a=b,c".to_owned()), "invalid module \"a=b,c\"; use a path such as flotilla_orders::saga"),
        (
            LogScope::User("ann@example.com".to_owned()),
            "invalid user \"ann@example.com\"; use an id such as users/018f...",
        ),
    ] {
        assert_eq!(control.set(scope, "debug", MINUTE), Err(LogRuleError::Scope(told.to_owned())));
    }
    assert!(matches!(control.set(LogScope::All, "=,=", MINUTE), Err(LogRuleError::Filter(_))));
    for number in 0..RULES {
        control.set(LogScope::User(format!("u-{number}")), "debug", MINUTE).unwrap();
    }
    assert_eq!(control.set(LogScope::All, "debug", MINUTE), Err(LogRuleError::TooMany));
    control.set(LogScope::User("u-3".to_owned()), "trace", MINUTE).unwrap();
    assert_eq!(control.state().rules.len(), RULES);
}
