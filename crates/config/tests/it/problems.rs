use super::{load, load_with, problems};

#[test]
fn every_problem_is_told_at_once() {
    let told = problems(load(&[
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
        "database.size: expected a whole number, not \"many\" (from FLOTILLA__DATABASE__SIZE)",
        "database.mode: unknown mode \"medium\"; use one of slow, fast (from FLOTILLA__DATABASE__MODE)",
        "database.pool: unknown setting (from FLOTILLA__DATABASE__POOL)",
        "database.url: is missing: expected a secret (set FLOTILLA__DATABASE__URL)",
        "database.patience: is missing: expected a duration such as 250ms, 5s, 2m or 1h30m (set FLOTILLA__DATABASE__PATIENCE)",
        "cache.on: expected true or false, not \"maybe\" (from FLOTILLA__CACHE__ON)",
        "cache.colour: unknown setting (from FLOTILLA__CACHE__COLOUR)",
        "typo.url: unknown setting (from FLOTILLA__TYPO__URL)",
    ] {
        assert!(told.iter().any(|problem| problem == expected), "{expected} is not in {told:#?}");
    }
    assert_eq!(told.len(), 9, "{told:#?}");
}

#[test]
fn without_any_setting_all_that_are_needed_are_told() {
    let told = problems(load(&[]));
    let names: Vec<&str> = told.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["database.mode", "database.patience", "database.url", "listen"]);
}

#[test]
fn a_number_out_of_range_is_told_with_its_range() {
    let told = problems(load_with(&[("FLOTILLA__DATABASE__SIZE", "70000")]));
    assert_eq!(
        told,
        ["database.size: expected a whole number from 0 to 65535, not \"70000\" (from FLOTILLA__DATABASE__SIZE)"]
    );
}

#[test]
fn checks_of_the_whole_follow_when_the_types_fit() {
    let told = problems(load_with(&[("FLOTILLA__DATABASE__SIZE", "0")]));
    assert_eq!(told, ["database.size: must be at least 1, not \"0\" (from FLOTILLA__DATABASE__SIZE)"]);
}

#[test]
fn a_text_where_a_section_belongs_is_told() {
    let told = problems(load_with(&[("FLOTILLA__CACHE", "redis")]));
    assert_eq!(told, ["cache: is a section; set its settings, such as cache.url (from FLOTILLA__CACHE)"]);
}

#[test]
fn a_name_that_no_setting_can_have_is_told() {
    let told = problems(load_with(&[("FLOTILLA__DATABASE____URL", "x")]));
    assert_eq!(told, ["database..url: no setting can have this name (from FLOTILLA__DATABASE____URL)"]);
}

#[test]
fn an_element_of_a_list_is_named_by_its_place() {
    let told = problems(load_with(&[("FLOTILLA__CACHE__PORTS", "80, 443, https")]));
    let expected =
        "cache.ports: element 3: expected a whole number, not \"80, 443, https\" (from FLOTILLA__CACHE__PORTS)";
    assert_eq!(told, [expected]);
}

#[test]
fn a_section_inside_a_section_that_may_be_absent_is_read_and_checked_where_it_is_there() {
    assert!(load_with(&[]).unwrap().cache.spare.is_none());
    let told = problems(load_with(&[("FLOTILLA__CACHE__SPARE__MODE", "slow")]));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.concat().contains("cache.spare.url: is missing"), "{told:?}");
    let spare = |size| {
        load_with(&[
            ("FLOTILLA__CACHE__SPARE__URL", "postgres://h/d"),
            ("FLOTILLA__CACHE__SPARE__PATIENCE", "1s"),
            ("FLOTILLA__CACHE__SPARE__MODE", "slow"),
            ("FLOTILLA__CACHE__SPARE__SIZE", size),
        ])
    };
    assert_eq!(spare("3").unwrap().cache.spare.unwrap().size, 3);
    let told = problems(spare("0"));
    assert_eq!(told, ["cache.spare.size: must be at least 1, not \"0\" (from FLOTILLA__CACHE__SPARE__SIZE)"]);
}

#[test]
fn what_is_skipped_is_no_setting() {
    assert_eq!(load_with(&[]).unwrap().cache.uses.0, 0);
    let told = problems(load_with(&[("FLOTILLA__CACHE__USES", "1")]));
    assert_eq!(told, ["cache.uses: unknown setting (from FLOTILLA__CACHE__USES)"]);
}
