//! Where a call comes from when a gateway passes it on: the gateway sees the client's address, the service only the
//! gateway's.

use std::net::IpAddr;

use http::HeaderName;
use tonic::Request;

use crate::tls::PeerIdentity;

/// The header in which a gateway tells a service the client's address. A gateway sets it for each call and removes what a
/// client sent under this name.
pub static CLIENT_ADDRESS: HeaderName = HeaderName::from_static("flotilla-client-address");

/// The address of the client that made a call: what the header says where the call comes from `gateway`, else the
/// connection's.
///
/// With mutual TLS the header counts on connections of `gateway` alone. Without, nobody's identity is known, and it is
/// believed of whoever reaches the port, as with methods for peers.
pub fn client_address<T>(request: &Request<T>, gateway: &str) -> Option<IpAddr> {
    let connected = || request.remote_addr().map(|address| address.ip().to_canonical());
    let trusted = request.extensions().get::<PeerIdentity>().is_none_or(|peer| peer.service == gateway);
    if !trusted {
        return connected();
    }
    let mut told = request.metadata().get_all(CLIENT_ADDRESS.as_str()).iter();
    match (told.next(), told.next()) {
        (Some(address), None) => address.to_str().ok().and_then(|text| text.parse::<IpAddr>().ok()).or_else(connected),
        _ => connected(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tonic::transport::server::TcpConnectInfo;

    use super::*;

    fn request(peer: Option<&str>, told: &[&'static str]) -> Request<()> {
        let mut request = Request::new(());
        let remote_addr: SocketAddr = "10.0.0.9:4000".parse().unwrap();
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: Some(remote_addr) });
        if let Some(service) = peer {
            request.extensions_mut().insert(PeerIdentity { service: service.to_owned() });
        }
        for address in told {
            request.metadata_mut().append(CLIENT_ADDRESS.as_str(), address.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_clients_address_is_believed_of_the_gateway_and_where_nobody_has_a_name() {
        let asked = |peer, told: &[&'static str]| client_address(&request(peer, told), "gateway").unwrap().to_string();
        assert_eq!(asked(Some("gateway"), &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(asked(None, &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(asked(Some("developer"), &["192.0.2.7"]), "10.0.0.9");
        assert_eq!(asked(Some("gateway"), &[]), "10.0.0.9");
        assert_eq!(asked(Some("gateway"), &["rubbish"]), "10.0.0.9");
        assert_eq!(asked(None, &["192.0.2.7", "192.0.2.8"]), "10.0.0.9", "of two neither counts");
    }
}
