use std::time::Duration;

use flotilla_config::{ConfigError, ExposeSecret, load_from};

use super::{GOOD, Mode, Settings, load, load_with};

fn with_file(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, toml).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from(variables.chain([("FLOTILLA_CONFIG_FILE".to_owned(), path)]), None)
}

const FILE: &str = r#"
listen = "127.0.0.1:1"
[database]
url = "from the file"
size = 3
patience = "1m"
mode = "slow"
[cache]
hosts = ["a", "b"]
share = 1
on = true
"#;

#[test]
fn the_environment_overrides_the_file_and_the_file_overrides_defaults() {
    let settings = with_file(FILE, &[("FLOTILLA__DATABASE__MODE", "fast"), ("FLOTILLA__LISTEN", "")]).unwrap();
    assert_eq!(settings.database.mode, Mode::Fast);
    assert_eq!(settings.database.size, 3);
    assert_eq!(settings.listen.port(), 1, "an empty variable isn't set");
    assert_eq!(settings.cache.hosts, ["a", "b"]);
    assert!(settings.cache.on && settings.cache.share > 0.5);
    let settings = load(&GOOD).unwrap();
    assert_eq!(settings.database.size, 8);
    assert_eq!(settings.database.patience.get(), Duration::from_secs(5));
    assert!(settings.telemetry.url.is_none(), "an absent section is an empty one");
}

#[test]
fn numbers_booleans_and_lists_are_read_from_variables() {
    let settings = load_with(&[
        ("FLOTILLA__DATABASE__SIZE", "12"),
        ("FLOTILLA__DATABASE__URL", "007"),
        ("FLOTILLA__CACHE__HOSTS", "a, b,,c"),
        ("FLOTILLA__CACHE__SHARE", "0.25"),
        ("FLOTILLA__CACHE__ON", "true"),
    ])
    .unwrap();
    assert_eq!(settings.database.size, 12);
    assert_eq!(settings.database.url.expose_secret(), "007", "digits stay a string");
    assert_eq!(settings.cache.hosts, ["a", "b", "c"]);
    assert!(settings.cache.on && (settings.cache.share - 0.25).abs() < f64::EPSILON);
}

#[test]
fn variables_of_other_programs_are_ignored() {
    assert!(load_with(&[("PATH", "/bin"), ("FLOTILLA_OFFLINE", "1"), ("flotilla__x", "1")]).is_ok());
}

#[test]
fn a_named_file_that_doesnt_exist_is_an_error() {
    let error = load_with(&[("FLOTILLA_CONFIG_FILE", "/nowhere/at/all.toml")]).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all.toml"), "{error}");
}

#[test]
fn the_error_for_invalid_toml_quotes_nothing() {
    let error = with_file("[database]\nurl = \"hunter2\n", &[]).unwrap_err().to_string();
    assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
}
