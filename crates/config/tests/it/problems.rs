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
        "listen: invalid socket address syntax; expected an address such as 127.0.0.1:8080, not \"nowhere\" (from FLOTILLA__LISTEN)",
        "database.size: expected a whole number, not \"many\" (from FLOTILLA__DATABASE__SIZE)",
        "database.mode: expected one of slow, fast, not \"medium\" (from FLOTILLA__DATABASE__MODE)",
        "database.pool: is not a setting (from FLOTILLA__DATABASE__POOL)",
        "database.url: is missing: expected a secret (set FLOTILLA__DATABASE__URL)",
        "database.patience: is missing: expected a duration such as 250ms, 5s, 2m or 1h30m (set FLOTILLA__DATABASE__PATIENCE)",
        "cache.on: expected true or false, not \"maybe\" (from FLOTILLA__CACHE__ON)",
        "cache.colour: is not a setting (from FLOTILLA__CACHE__COLOUR)",
        "typo.url: is not a setting (from FLOTILLA__TYPO__URL)",
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
        [
            "database.size: out of the range of u16; expected a whole number, not \"70000\" (from FLOTILLA__DATABASE__SIZE)"
        ]
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
    assert_eq!(told, ["cache: expected a section (from FLOTILLA__CACHE)"]);
}

#[test]
fn a_name_that_no_setting_can_have_is_told() {
    let told = problems(load_with(&[("FLOTILLA__DATABASE____URL", "x")]));
    assert_eq!(told, ["database..url: is not the name of a setting (from FLOTILLA__DATABASE____URL)"]);
}
