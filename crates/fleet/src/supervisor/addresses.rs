//! Where the services listen.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    ONE_PROCESS, SERVICES,
    home::{Home, ports},
};

/// Where the services listen, on loopback.
pub struct Addresses {
    ports: BTreeMap<String, u16>,
    one_process: bool,
}

impl Addresses {
    /// Chooses two ports for each service, and one for the endpoints of all in one process.
    pub fn pick(home: &Home) -> Result<Self> {
        let names = SERVICES.iter().flat_map(|name| [(*name).to_owned(), admin_of(name)]);
        let names: Vec<_> = names.chain([admin_of(ONE_PROCESS)]).collect();
        Ok(Self { ports: ports::pick(home, "service-ports.json", &names)?, one_process: home.one_process() })
    }

    /// Host and port of gRPC (and REST, for the gateway).
    pub fn grpc(&self, service: &str) -> String {
        self.at(service)
    }

    /// The URL of gRPC: `https` if the fleet uses TLS.
    pub fn url(&self, home: &Home, service: &str) -> String {
        format!("{}://{}", if home.tls() { "https" } else { "http" }, self.grpc(service))
    }

    /// Host and port of the admin endpoints, with the path of the service if it shares the port.
    pub fn admin(&self, service: &str) -> String {
        let listen = self.admin_listen(service);
        if self.one_process { format!("{listen}/{service}") } else { listen }
    }

    /// Host and port where the admin endpoints are served.
    pub fn admin_listen(&self, service: &str) -> String {
        self.at(&admin_of(if self.one_process { ONE_PROCESS } else { service }))
    }

    /// The scrape targets: each service with the address of its admin endpoints, and the process if there is one for
    /// all.
    pub fn admins(&self) -> Vec<(String, String)> {
        let mut admins: Vec<_> = SERVICES.iter().map(|name| ((*name).to_owned(), self.admin(name))).collect();
        if self.one_process {
            admins.push((ONE_PROCESS.to_owned(), format!("{}/process", self.admin_listen(ONE_PROCESS))));
        }
        admins
    }

    fn at(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.ports.get(name).copied().unwrap_or_default())
    }
}

/// The name of an admin port.
fn admin_of(process: &str) -> String {
    format!("{process}-admin")
}
