//! One image, three environments: the layers in `config/` are sound for every service.

use flotilla_config::Sources;

use crate::{Subject, root, subjects};

/// What no layer can know: where the database and the services are.
fn sources(subject: &Subject, environment: &str) -> Sources {
    let mut variables = vec![
        ("FLOTILLA_CONFIG_DIR".to_owned(), root().join("config").display().to_string()),
        ("FLOTILLA_ENVIRONMENT".to_owned(), environment.to_owned()),
    ];
    for setting in subject.reference.settings().iter().filter(|setting| setting.required) {
        let scheme = if setting.name.starts_with("postgres.") { "postgresql" } else { "http" };
        variables.push((setting.variable(), format!("{scheme}://somewhere:1/{}", subject.name)));
    }
    Sources::of(variables).service(subject.name)
}

#[test]
fn each_environments_layers_load_for_each_service() {
    for environment in ["development", "staging", "production"] {
        for subject in subjects() {
            let name = subject.name;
            let effective = match (subject.load)(&sources(&subject, environment)) {
                Ok(effective) => effective,
                Err(error) => panic!("{name} in {environment}: {error}"),
            };
            let find = |name: &str| effective.settings().iter().find(|setting| setting.setting == name).unwrap();
            assert_eq!(find("service.environment").value.as_deref(), Some(environment), "{name}");
            let listens = find("grpc.listen");
            assert!(listens.source.ends_with(&format!("config/{environment}.toml")), "{name}: {}", listens.source);
            assert!(find("grpc.default_deadline").source.ends_with("config/base.toml"), "{name}");
            let faults = find("service.faults").value.clone().unwrap();
            assert_eq!(faults == "true", environment == "staging", "{name} in {environment}");
        }
    }
}

#[test]
fn an_environment_that_doesnt_exist_is_refused() {
    for subject in subjects() {
        let error = (subject.load)(&sources(&subject, "prod")).unwrap_err().to_string();
        let expected = "service.environment: unknown environment \"prod\"; use one of development, staging, production";
        assert!(error.contains(expected), "{error}");
    }
}
