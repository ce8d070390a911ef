//! Panels of the repository's dashboards.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{fleet::workspace, rules};

/// The queries of a panel, ready to be asked: for all services, over a scaled window.
pub fn queries(dashboard: &str, title: &str) -> Vec<String> {
    let folder = workspace().join("observability/grafana/dashboards");
    let board = find(&folder, dashboard);
    let panels = board["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == title);
    let panel = panel.unwrap_or_else(|| panic!("{dashboard} has no panel {title:?}"));
    let targets = panel["targets"].as_array().unwrap();
    let ask = |target: &Value| {
        let query = target["expr"].as_str().unwrap();
        query.replace("$__rate_interval", &rules::window("1m")).replace("$job", ".*")
    };
    targets.iter().map(ask).collect()
}

/// The dashboard of this uid.
fn find(folder: &Path, uid: &str) -> Value {
    let boards = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let mut boards = boards.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    boards.find(|board| board["uid"] == uid).unwrap_or_else(|| panic!("there is no dashboard {uid}"))
}
