//! The client's address of a call that the gateway passes on: the service itself sees only the gateway's address.

use std::net::IpAddr;

use http::HeaderName;
use tonic::Request;

use crate::tls::PeerIdentity;

/// The header in which a gateway passes the client's address to a service. The gateway sets it on each call and removes
/// it from clients' requests.
pub static CLIENT_ADDRESS: HeaderName = HeaderName::from_static("flotilla-client-address");

/// The address of the client that made a call: from the header on calls from `gateway`, else from the connection.
///
/// With mutual TLS the header is trusted only on connections of `gateway`. Without TLS peers aren't authenticated, so
/// it is trusted from any peer that reaches the port, as with methods for peers.
pub fn client_address<T>(request: &Request<T>, gateway: &str) -> Option<IpAddr> {
    let connected = || request.remote_addr().map(|address| address.ip().to_canonical());
    let trusted = request.extensions().get::<PeerIdentity>().is_none_or(|peer| peer.service == gateway);
    if !trusted {
        return connected();
    }
    let mut values = request.metadata().get_all(CLIENT_ADDRESS.as_str()).iter();
    match (values.next(), values.next()) {
        (Some(address), None) => address.to_str().ok().and_then(|text| text.parse::<IpAddr>().ok()).or_else(connected),
        _ => connected(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tonic::transport::server::TcpConnectInfo;

    use super::*;

    fn request(peer: Option<&str>, values: &[&'static str]) -> Request<()> {
        let mut request = Request::new(());
        let remote_addr: SocketAddr = "10.0.0.9:4000".parse().unwrap();
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: Some(remote_addr) });
        if let Some(service) = peer {
            request.extensions_mut().insert(PeerIdentity { service: service.to_owned() });
        }
        for address in values {
            request.metadata_mut().append(CLIENT_ADDRESS.as_str(), address.parse().unwrap());
        }
        request
    }

    #[test]
    fn the_header_is_trusted_from_the_gateway_and_without_mutual_tls() {
        let asked =
            |peer, values: &[&'static str]| client_address(&request(peer, values), "gateway").unwrap().to_string();
        assert_eq!(asked(Some("gateway"), &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(asked(None, &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(asked(Some("developer"), &["192.0.2.7"]), "10.0.0.9");
        assert_eq!(asked(Some("gateway"), &[]), "10.0.0.9");
        assert_eq!(asked(Some("gateway"), &["rubbish"]), "10.0.0.9");
        assert_eq!(asked(None, &["192.0.2.7", "192.0.2.8"]), "10.0.0.9", "if there are two, neither counts");
    }
}
