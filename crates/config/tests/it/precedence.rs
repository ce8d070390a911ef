//! Which source wins: each layer is added above the one before it, and overrides it.

use flotilla_config::{ExposeSecret, RemoteLayer, Secrets};

use crate::shop::{Folder, load, loaded, shown, sources, tick};

#[test]
fn each_layer_overrides_the_one_below() {
    let folder = Folder::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut remote = RemoteLayer::default();
    let mut flags: Vec<String> = Vec::new();
    let holds = |variables: &[(String, String)], remote: &RemoteLayer, flags: &[String]| {
        let variables: Vec<(&str, &str)> = variables.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let sources = sources(&variables).working_directory(folder.path()).arguments(flags.iter().cloned());
        let loaded = load(&sources, remote, &Secrets::new()).unwrap();
        let (_, source) = shown(&loaded, "saga.tick");
        (tick(&loaded), source)
    };
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));

    set("OTHER", "1");
    assert_eq!(holds(&variables, &remote, &flags), ("1s".to_owned(), "default".to_owned()));

    for (at, stem) in ["base", "production", "shop"].into_iter().enumerate() {
        let file = folder.write(&format!("layers/{stem}.toml"), &format!("[saga]\ntick = \"{}s\"", at + 2));
        variables.push(("FLOTILLA_CONFIG_DIR".to_owned(), folder.at("layers")));
        variables.push(("SHOP_ENVIRONMENT".to_owned(), "production".to_owned()));
        assert_eq!(holds(&variables, &remote, &flags), (format!("{}s", at + 2), file.display().to_string()));
    }
    let first = folder.write("first.yaml", "saga:\n  tick: 5s\n");
    variables.push(("FLOTILLA_CONFIG_FILE".to_owned(), first.display().to_string()));
    assert_eq!(holds(&variables, &remote, &flags), ("5s".to_owned(), first.display().to_string()));

    remote = RemoteLayer::new("the bucket").with("saga.tick", "6s");
    assert_eq!(holds(&variables, &remote, &flags), ("6s".to_owned(), "the bucket".to_owned()));

    let dotenv = folder.write(".env", "FLOTILLA__SAGA__TICK=7s\n");
    let source = format!("FLOTILLA__SAGA__TICK in {}", dotenv.display());
    assert_eq!(holds(&variables, &remote, &flags), ("7s".to_owned(), source));

    variables.push(("FLOTILLA__SAGA__TICK".to_owned(), "8s".to_owned()));
    assert_eq!(holds(&variables, &remote, &flags), ("8s".to_owned(), "FLOTILLA__SAGA__TICK".to_owned()));

    let mounted = folder.write("mounted/saga.tick", "9s\n");
    variables.push(("FLOTILLA_SECRETS_DIR".to_owned(), folder.at("mounted")));
    assert_eq!(holds(&variables, &remote, &flags), ("9s".to_owned(), mounted.display().to_string()));

    variables.retain(|(name, _)| name != "FLOTILLA__SAGA__TICK");
    let file = folder.write("tick", "10s");
    variables.push(("FLOTILLA__SAGA__TICK_FILE".to_owned(), file.display().to_string()));
    assert_eq!(holds(&variables, &remote, &flags), ("10s".to_owned(), "FLOTILLA__SAGA__TICK_FILE".to_owned()));

    flags.push("--saga.tick=11s".to_owned());
    assert_eq!(holds(&variables, &remote, &flags), ("11s".to_owned(), "--saga.tick".to_owned()));
}

#[test]
fn a_later_file_overrides_single_settings_and_replaces_lists_as_a_whole() {
    let folder = Folder::new();
    let first = folder.write("1.toml", "[saga]\ntick = \"5s\"\nbatch = 3\n[broker]\ntopics = [\"a\", \"b\"]");
    let second = folder.write("2.yml", "saga: {batch: 4}\nbroker: {topics: [c]}\n");
    let list = format!("{}, {}", first.display(), second.display());
    let loaded = loaded(&sources(&[("FLOTILLA_CONFIG_FILE", &list)]));
    assert_eq!((tick(&loaded).as_str(), loaded.settings.saga.batch.get()), ("5s", 4));
    assert_eq!(loaded.settings.broker.topics, ["c"]);
    assert_eq!(shown(&loaded, "saga.tick").1, first.display().to_string());
}

#[test]
fn an_alias_sets_its_setting_unless_the_long_name_does() {
    let alias = ("SHOP_BROKER", "nats://short:1");
    let short = loaded(&sources(&[alias]));
    assert_eq!(shown(&short, "broker.url"), (Some("nats://short:1".to_owned()), "SHOP_BROKER".to_owned()));
    let long = loaded(&sources(&[alias, ("FLOTILLA__BROKER__URL", "nats://long:1")]));
    assert_eq!(long.settings.broker.url.as_str(), "nats://long:1");
}

#[test]
fn dotenv_never_overrides_the_environment_not_even_through_a_file_or_an_alias() {
    let folder = Folder::new();
    let secret = folder.write("secret", "from the file");
    let text = format!("FLOTILLA__BROKER__PASSWORD_FILE={}\nSHOP_BROKER=nats://dotenv:1\n", secret.display());
    let dotenv = folder.write("given.env", &text);
    let with = |more: &[(&str, &str)]| {
        let given = [("FLOTILLA_ENV_FILE", dotenv.to_str().unwrap())];
        loaded(&sources(&[&given[..], more].concat())).settings.broker
    };
    let password = |broker: crate::shop::Broker| broker.password.get().unwrap().expose_secret().to_owned();
    assert_eq!(password(with(&[])), "from the file");
    assert_eq!(password(with(&[("FLOTILLA__BROKER__PASSWORD", "real")])), "real");
    assert_eq!(with(&[("FLOTILLA__BROKER__URL", "nats://real:1")]).url.as_str(), "nats://real:1");
}

#[test]
fn a_named_env_file_replaces_the_default_one_and_must_exist() {
    let folder = Folder::new();
    folder.write(".env", "FLOTILLA__SAGA__TICK=7s");
    let named = folder.write("named.env", "FLOTILLA__SAGA__BATCH=7");
    let here = |variables: &[(&str, &str)]| sources(variables).working_directory(folder.path());
    assert_eq!(tick(&loaded(&here(&[]))), "7s");
    let loaded = loaded(&here(&[("FLOTILLA_ENV_FILE", named.to_str().unwrap())]));
    assert_eq!((tick(&loaded).as_str(), loaded.settings.saga.batch.get()), ("1s", 7));
    let absent = folder.at("absent.env");
    let error = load(&here(&[("FLOTILLA_ENV_FILE", &absent)]), &RemoteLayer::default(), &Secrets::new());
    assert!(error.unwrap_err().to_string().contains("absent.env"));
}

#[test]
fn a_flags_value_follows_an_equals_sign_or_a_space_and_switches_need_none() {
    let flags = ["--saga.tick", "2s", "--saga.batch=5", "--service.faults", "--broker.largest", "64KiB"];
    let loaded = loaded(&sources(&[]).arguments(flags.map(str::to_owned)));
    assert!(loaded.settings.service.faults);
    assert_eq!((tick(&loaded).as_str(), loaded.settings.saga.batch.get()), ("2s", 5));
    assert_eq!(loaded.settings.broker.largest.bytes(), 65_536);
}

#[test]
fn the_own_variables_of_one_of_several_services_take_precedence_over_those_of_all() {
    let folder = Folder::new();
    let of_all = ("FLOTILLA__SAGA__TICK", "2s");
    let others = [of_all, ("FLOTILLA_OTHER__SAGA__TICK", "9s"), ("FLOTILLA_OTHER__NO__SETTING", "1")];
    let holds = |variables: &[(&str, &str)]| {
        let loaded = loaded(&sources(variables).service_of_several("shop").working_directory(folder.path()));
        (tick(&loaded), shown(&loaded, "saga.tick").1)
    };
    assert_eq!(holds(&others), ("2s".to_owned(), "FLOTILLA__SAGA__TICK".to_owned()));
    let own = ("FLOTILLA_SHOP__SAGA__TICK", "3s");
    for variables in [[of_all, own], [own, of_all]] {
        assert_eq!(holds(&variables), ("3s".to_owned(), "FLOTILLA_SHOP__SAGA__TICK".to_owned()));
    }
    folder.write("tick", "4s");
    let path = folder.at("tick");
    assert_eq!(holds(&[of_all, ("FLOTILLA_SHOP__SAGA__TICK_FILE", &path)]).0, "4s");
    folder.write(".env", "FLOTILLA_SHOP__SAGA__TICK=5s\n");
    assert_eq!(holds(&[]).0, "5s");
    for (name, tick) in [("FLOTILLA__SAGA__TICK", "6s"), ("FLOTILLA_SHOP__SAGA__TICK", "7s"), ("FLOTILLA_A__B", "8s")] {
        folder.write(&format!("mounted/{name}"), tick);
    }
    assert_eq!(holds(&[("FLOTILLA_SECRETS_DIR", &folder.at("mounted"))]).0, "7s");
    // A process of one service knows no such variables.
    assert_eq!(tick(&loaded(&sources(&[own]))), "1s");
}
