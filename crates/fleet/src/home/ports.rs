//! Ports of the services: those of the last run if they are free, so that addresses stay the same.

use std::{collections::BTreeMap, fs, net::TcpListener};

use anyhow::Result;

use super::Home;

/// Chooses a port for each name and records it.
pub fn pick(home: &Home, file: &str, names: &[String]) -> Result<BTreeMap<String, u16>> {
    let path = home.root().join(file);
    let before: BTreeMap<String, u16> =
        fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut ports = BTreeMap::new();
    for name in names {
        let port = match before.get(name) {
            Some(port) if TcpListener::bind(("127.0.0.1", *port)).is_ok() => *port,
            _ => flotilla_servers::free_port()?,
        };
        ports.insert(name.clone(), port);
    }
    home.write_private(&path, &serde_json::to_vec_pretty(&ports)?)?;
    Ok(ports)
}
