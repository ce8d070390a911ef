//! The content of the certificates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use flotilla_rpc::tls::PeerIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::DEVELOPER;

/// How much clocks may differ.
const SKEW: Duration = Duration::minutes(5);

/// Issues certificates.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// The authority of a key in PEM.
    ///
    /// # Errors
    /// If it isn't a key.
    pub fn from_key(pem: &str) -> Result<Self> {
        Ok(Self(Issuer::new(authority_params(), KeyPair::from_pem(pem)?)))
    }

    /// A certificate and its key in PEM, for a service or the developer.
    ///
    /// # Errors
    /// If the name isn't valid in a certificate.
    pub fn issue(&self, name: &str, now: OffsetDateTime, until: OffsetDateTime) -> Result<(String, String)> {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (now - SKEW, until);
        params.distinguished_name = common_name(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let identity = PeerIdentity { service: name.to_owned() };
        params.subject_alt_names = vec![SanType::URI(identity.uri().try_into()?)];
        // The developer's certificate is for clients only.
        if name != DEVELOPER {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            for host in ["localhost", name] {
                params.subject_alt_names.push(SanType::DnsName(host.try_into()?));
            }
            for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                params.subject_alt_names.push(SanType::IpAddress(address));
            }
        }
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }
}

/// A new authority: its certificate and key in PEM.
///
/// # Errors
/// If no key can be generated.
pub fn new_authority(now: OffsetDateTime, until: OffsetDateTime) -> Result<(String, String)> {
    let mut params = authority_params();
    (params.not_before, params.not_after) = (now - SKEW, until);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The parameters that every authority shares, so that it can be recreated from its key alone.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Flotilla development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut whole = DistinguishedName::new();
    whole.push(DnType::CommonName, name);
    whole
}
