use super::{load, load_with, problems};

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(load(&[
        ("FLOTILLA__LISTEN", "nowhere"),
        ("FLOTILLA__DATABASE__SIZE", "many"),
        ("FLOTILLA__DATABASE__MODE", "medium"),
        ("FLOTILLA__DATABASE__POOL", "1"),
        ("FLOTILLA__CACHE__ON", "maybe"),
        ("FLOTILLA__CACHE__COLOUR", "red"),
        ("FLOTILLA__TYPO__URL", "x"),
    ]));
    for expected in [
        "listen: expected an address such as 127.0.0.1:8080, not \"nowhere\" (from FLOTILLA__LISTEN)",
        "database.size: expected an integer, not \"many\" (from FLOTILLA__DATABASE__SIZE)",
        "database.mode: unknown mode \"medium\"; use one of slow, fast (from FLOTILLA__DATABASE__MODE)",
        "database.pool: unknown setting (from FLOTILLA__DATABASE__POOL)",
        "database.url: is required; expected a secret (set FLOTILLA__DATABASE__URL)",
        "database.patience: is required; expected a duration such as 250ms, 5s, 2m or 1h30m (set FLOTILLA__DATABASE__PATIENCE)",
        "cache.on: expected true or false, not \"maybe\" (from FLOTILLA__CACHE__ON)",
        "cache.colour: unknown setting (from FLOTILLA__CACHE__COLOUR)",
        "typo.url: unknown setting (from FLOTILLA__TYPO__URL)",
    ] {
        assert!(found.iter().any(|problem| problem == expected), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn without_any_setting_all_required_settings_are_reported() {
    let found = problems(load(&[]));
    let names: Vec<&str> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["database.mode", "database.patience", "database.url", "listen"]);
}

#[test]
fn a_number_out_of_range_is_reported_with_the_range() {
    let found = problems(load_with(&[("FLOTILLA__DATABASE__SIZE", "70000")]));
    assert_eq!(
        found,
        ["database.size: expected an integer from 0 to 65535, not \"70000\" (from FLOTILLA__DATABASE__SIZE)"]
    );
}

#[test]
fn settings_are_validated_once_all_types_are_right() {
    let found = problems(load_with(&[("FLOTILLA__DATABASE__SIZE", "0")]));
    assert_eq!(found, ["database.size: must be at least 1, not \"0\" (from FLOTILLA__DATABASE__SIZE)"]);
}

#[test]
fn a_value_in_place_of_a_section_is_reported() {
    let found = problems(load_with(&[("FLOTILLA__CACHE", "redis")]));
    assert_eq!(found, ["cache: is a section; set its settings, such as cache.url (from FLOTILLA__CACHE)"]);
}

#[test]
fn a_name_that_no_setting_can_have_is_reported() {
    let found = problems(load_with(&[("FLOTILLA__DATABASE____URL", "x")]));
    assert_eq!(found, ["database..url: no setting can have this name (from FLOTILLA__DATABASE____URL)"]);
}

#[test]
fn an_invalid_element_of_a_list_is_reported_by_its_position() {
    let found = problems(load_with(&[("FLOTILLA__CACHE__PORTS", "80, 443, https")]));
    let expected = "cache.ports: element 3: expected an integer, not \"80, 443, https\" (from FLOTILLA__CACHE__PORTS)";
    assert_eq!(found, [expected]);
}

#[test]
fn an_optional_section_inside_a_section_is_read_and_validated_if_present() {
    assert!(load_with(&[]).unwrap().cache.spare.is_none());
    let found = problems(load_with(&[("FLOTILLA__CACHE__SPARE__MODE", "slow")]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.concat().contains("cache.spare.url: is required"), "{found:?}");
    let spare = |size| {
        load_with(&[
            ("FLOTILLA__CACHE__SPARE__URL", "postgres://h/d"),
            ("FLOTILLA__CACHE__SPARE__PATIENCE", "1s"),
            ("FLOTILLA__CACHE__SPARE__MODE", "slow"),
            ("FLOTILLA__CACHE__SPARE__SIZE", size),
        ])
    };
    assert_eq!(spare("3").unwrap().cache.spare.unwrap().size, 3);
    let found = problems(spare("0"));
    assert_eq!(found, ["cache.spare.size: must be at least 1, not \"0\" (from FLOTILLA__CACHE__SPARE__SIZE)"]);
}

#[test]
fn a_skipped_field_is_not_a_setting() {
    assert_eq!(load_with(&[]).unwrap().cache.uses.0, 0);
    let found = problems(load_with(&[("FLOTILLA__CACHE__USES", "1")]));
    assert_eq!(found, ["cache.uses: unknown setting (from FLOTILLA__CACHE__USES)"]);
}
