//! Every service of `services/services.txt` has its part in what chooses by name.

use std::process::Command;

use flotilla_fleet::{DATABASES, SERVICES, variables::settings_of};

use crate::subjects;

fn names(reference: &flotilla_config::Reference) -> Vec<&str> {
    reference.settings().iter().map(|setting| setting.name.as_str()).collect()
}

#[test]
fn each_listed_service_is_a_subject_of_these_tests() {
    let subjects: Vec<_> = subjects().iter().map(|subject| subject.name).collect();
    assert_eq!(subjects, SERVICES, "main.rs and services/services.txt differ");
}

#[test]
fn the_fleet_command_knows_each_services_own_settings() {
    for subject in subjects() {
        assert_eq!(names(&settings_of(subject.name)), names(&subject.reference), "settings_of({})", subject.name);
    }
}

#[test]
fn those_that_own_a_database_have_its_settings() {
    for subject in subjects() {
        let owns = names(&subject.reference).iter().any(|name| name.starts_with("postgres."));
        assert_eq!(owns, DATABASES.contains(&subject.name), "{} in services/services.txt", subject.name);
    }
}

#[test]
fn the_gateway_has_an_address_for_each_other_service() {
    let reference = settings_of("gateway");
    let all = names(&reference);
    let mut backends: Vec<_> = all.iter().filter_map(|name| name.strip_prefix("backends.")).collect();
    let mut others: Vec<_> = SERVICES.into_iter().filter(|name| *name != "gateway").collect();
    backends.sort_unstable();
    others.sort_unstable();
    assert_eq!(backends, others);
}

#[test]
fn the_multi_call_binary_runs_each() {
    for service in SERVICES {
        let flotilla =
            Command::new(env!("CARGO_BIN_EXE_flotilla")).args([service, "settings"]).env_clear().output().unwrap();
        assert!(flotilla.status.success(), "flotilla {service}: {}", String::from_utf8_lossy(&flotilla.stderr));
        assert!(!flotilla.stdout.is_empty(), "flotilla {service} settings prints nothing");
    }
}
