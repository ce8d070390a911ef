use super::super::tests::logged_under;
use super::*;
use crate::settings::LogFormat;

const MINUTE: Duration = Duration::from_secs(60);

fn control() -> LogControl {
    LogControl::new("info", "telemetry.filter").unwrap()
}

/// Two calls, each with events inside its span, in a span below and outside.
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
fn a_rule_for_a_user_logs_more_of_that_users_calls_only() {
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
fn a_rule_logs_more_of_one_module_or_of_all() {
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
async fn a_rule_expires() {
    let control = control();
    let task = tokio::spawn(control.clone().run(None));
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
    task.abort();
}

#[tokio::test]
async fn a_changed_setting_is_applied_and_an_invalid_one_is_ignored() {
    let control = control();
    let setting = flotilla_config::Live::new("info".to_owned());
    let task = tokio::spawn(control.clone().run(Some(setting.subscribe())));
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
    task.abort();
}

#[test]
fn an_invalid_rule_is_refused() {
    let control = control();
    let user = || LogScope::User("u-1".to_owned());
    for (wrong, expected) in
        [("debgu", "log level \"debgu\"; use one of"), ("loud", "use one of off, error"), ("", "unknown log level")]
    {
        let refusal = control.set(user(), wrong, MINUTE).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{wrong}: {refusal}");
        assert!(control.set(LogScope::All, wrong, MINUTE).is_err(), "{wrong}");
    }
    let module = LogScope::Module("flotilla_order::saga".to_owned());
    assert!(control.set(module, "debug", MINUTE).unwrap_err().to_string().contains("did you mean flotilla_orders?"));
    assert_eq!(control.state().rules, []);
    assert_eq!(control.set(user(), "debug", Duration::ZERO), Err(LogRuleError::Duration));
    assert_eq!(control.set(user(), "debug", MAX_DURATION * 2), Err(LogRuleError::Duration));
    for (scope, reason) in [
        (LogScope::Module("a=b,c".to_owned()), "invalid module \"a=b,c\"; use a path such as flotilla_orders::saga"),
        (
            LogScope::User("ann@example.com".to_owned()),
            "invalid user \"ann@example.com\"; use an id such as users/018f...",
        ),
    ] {
        assert_eq!(control.set(scope, "debug", MINUTE), Err(LogRuleError::Scope(reason.to_owned())));
    }
    assert!(matches!(control.set(LogScope::All, "=,=", MINUTE), Err(LogRuleError::Filter(_))));
    for number in 0..MAX_RULES {
        control.set(LogScope::User(format!("u-{number}")), "debug", MINUTE).unwrap();
    }
    assert_eq!(control.set(LogScope::All, "debug", MINUTE), Err(LogRuleError::TooMany));
    control.set(LogScope::User("u-3".to_owned()), "trace", MINUTE).unwrap();
    assert_eq!(control.state().rules.len(), MAX_RULES);
}
