//! Reports of mistakes: where they are, what was given, what is allowed, what was probably meant.

use flotilla_config::{RemoteLayer, Secrets};

use crate::shop::{Folder, load, problems, sources};

#[test]
fn all_mistakes_of_all_sources_are_reported_at_once() {
    let folder = Folder::new();
    let file = folder.write("shop.toml", "[saga]\nworkers = \"many\"\ntikc = \"1s\"");
    let mounted = folder.write("mounted/broker.pasword", "hunter2");
    let variables = [
        ("FLOTILLA_CONFIG_FILE", file.to_str().unwrap()),
        ("FLOTILLA_SECRETS_DIR", &folder.at("mounted")),
        ("FLOTILLA__BROKER__URL", "broker:4222"),
        ("FLOTILLA__SERVICE__ENVIRONMENT", "prod"),
        ("FLOTILLA__SAGGA__BATCH", "1"),
    ];
    let flags = ["--broker.largest=1XB", "--broker.password=hunter2", "--saga.tick"].map(str::to_owned);
    let problems = problems(&sources(&variables).arguments(flags));
    let file = file.display();
    let expected = [
        format!("saga.workers: expected an integer, not \"many\" (from {file})"),
        format!("saga.tikc: unknown setting; did you mean saga.tick? (from {file})"),
        format!("broker.pasword: unknown setting; did you mean broker.password? (from {})", mounted.display()),
        "broker.url: expected a URL such as http://host:port, not \"broker:4222\" (from FLOTILLA__BROKER__URL)"
            .to_owned(),
        "service.environment: unknown environment \"prod\"; use one of development, production (from \
         FLOTILLA__SERVICE__ENVIRONMENT)"
            .to_owned(),
        "sagga.batch: unknown setting; did you mean saga.batch? (from FLOTILLA__SAGGA__BATCH)".to_owned(),
        "broker.largest: expected a size such as 512, 64KiB or 1MiB, not \"1XB\" (from --broker.largest)".to_owned(),
        "broker.password: is a secret, and flags are visible to other users; name a file in \
         FLOTILLA__BROKER__PASSWORD_FILE (from --broker.password)"
            .to_owned(),
        "saga.tick: has no value; expected a duration such as 250ms, 5s, 2m or 1h30m (from --saga.tick)".to_owned(),
    ];
    for line in &expected {
        assert!(problems.contains(line), "{line} is not in {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    assert!(!problems.concat().contains("hunter2"));
}

#[test]
fn a_failed_validation_is_reported_with_the_given_value() {
    let problems = problems(&sources(&[("FLOTILLA__SAGA__BATCH", "0")]));
    assert_eq!(problems, ["saga.batch: must be at least 1, not \"0\" (from FLOTILLA__SAGA__BATCH)"]);
}

#[test]
fn a_misspelt_file_variable_gets_a_suggestion() {
    let problems = problems(&sources(&[("FLOTILLA__BROKER__PASWORD_FILE", "/run/x")]));
    let expected = "broker.pasword_file: unknown setting; did you mean broker.password_file? (from \
                    FLOTILLA__BROKER__PASWORD_FILE)";
    assert_eq!(problems, [expected]);
}

#[test]
fn a_password_in_a_url_isnt_reported() {
    let problems = problems(&sources(&[("FLOTILLA__BROKER__LARGEST", "nats://me:hunter2@broker")]));
    assert!(problems[0].contains("nats://me:****@broker"), "{problems:?}");
}

#[test]
fn a_misspelt_choice_gets_the_allowed_words() {
    let problems = problems(&sources(&[("FLOTILLA__SERVICE__ENVIRONMENT", "prodution")]));
    let expected = "service.environment: unknown environment \"prodution\"; use one of development, production (from \
                    FLOTILLA__SERVICE__ENVIRONMENT)";
    assert_eq!(problems, [expected]);
}

#[test]
fn a_misspelt_variable_is_refused_and_variables_of_other_programs_are_ignored() {
    for (name, meant) in [
        ("FLOTILLA_CONFIG_DIRS", "FLOTILLA_CONFIG_DIR"),
        ("FLOTILLA_SECERTS_DIR", "FLOTILLA_SECRETS_DIR"),
        ("FLOTILLA_SAGA__TICK", "FLOTILLA__SAGA__TICK"),
        ("FLOTILLA_BROKER__PASSWORD_FILE", "FLOTILLA__BROKER__PASSWORD_FILE"),
    ] {
        let problems = problems(&sources(&[(name, "x")]));
        let expected = format!("{name}: unknown variable; did you mean {meant}? (from {name})");
        assert_eq!(problems, [expected]);
    }
    let others =
        ["FLOTILLA_HOME", "FLOTILLA_SERVERS", "FLOTILLA_LOG_FILES", "FLOTILLA_ORDERS__SAGA__TICK", "CONFIG_DIRS"];
    let others = others.map(|name| (name, "x"));
    assert!(load(&sources(&others), &RemoteLayer::default(), &Secrets::new()).is_ok());
}

#[test]
fn a_misspelt_layer_is_refused() {
    let folder = Folder::new();
    for name in ["producton.toml", "shop.json", "orders.toml", "notes.txt"] {
        folder.write(name, "");
    }
    let place = folder.path().display().to_string();
    let problems = problems(&sources(&[("FLOTILLA_CONFIG_DIR", &place)]));
    let expected = [
        format!("producton.toml: unknown settings file; did you mean production.toml? (from {place})"),
        format!("shop.json: unknown file type; the name must end in .toml, .yaml or .yml (from {place})"),
    ];
    assert_eq!(problems, expected);
}
