//! Signs access tokens: Ed25519, with issuer, audience, subject, session, role, key id and expiry.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_proto::identity::v1::JsonWebKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

use super::{Caller, Role, VerifyingKey};

/// The prefix of the 32 secret bytes in a PKCS #8 Ed25519 key (RFC 8410), version 1.
const PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Where the part of the prefix begins that both PKCS #8 versions share.
const SHARED: usize = 5;
/// Length of a secret in bytes.
const SEED: usize = 32;

/// The key can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key in PKCS #8")]
pub struct TokenError;

/// Signs tokens with one key.
#[derive(Clone)]
pub struct TokenSigner {
    key: EncodingKey,
    header: Header,
    public: VerifyingKey,
    issuer: String,
    audience: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: Uuid,
    sid: Uuid,
    role: Role,
    iat: u64,
    exp: u64,
}

impl TokenSigner {
    /// A signer with the private key in `pem` (`-----BEGIN PRIVATE KEY-----`, PKCS #8).
    ///
    /// # Errors
    /// The text holds no Ed25519 key.
    pub fn new(pem: &str, kid: &str, issuer: &str, audience: &str) -> Result<Self, TokenError> {
        let body: String = pem
            .lines()
            .map(str::trim)
            .skip_while(|line| *line != "-----BEGIN PRIVATE KEY-----")
            .skip(1)
            .take_while(|line| *line != "-----END PRIVATE KEY-----")
            .collect();
        let der = STANDARD.decode(body).map_err(|_| TokenError)?;
        Self::from_pkcs8(&der, kid, issuer, audience)
    }

    /// A signer with a private key in PKCS #8 (DER), version 1 or 2.
    ///
    /// # Errors
    /// The bytes are not an Ed25519 key.
    pub fn from_pkcs8(der: &[u8], kid: &str, issuer: &str, audience: &str) -> Result<Self, TokenError> {
        let end = PREFIX.len() + SEED;
        if der.get(SHARED..PREFIX.len()) != Some(&PREFIX[SHARED..]) || der.len() < end {
            return Err(TokenError);
        }
        let seed: [u8; SEED] = der[PREFIX.len()..end].try_into().map_err(|_| TokenError)?;
        Self::from_seed(&seed, kid, issuer, audience)
    }

    /// A signer with a raw secret: any 32 random bytes.
    ///
    /// # Errors
    /// None in practice; the key is derived and checked here so that signing can't fail.
    pub fn from_seed(seed: &[u8; SEED], kid: &str, issuer: &str, audience: &str) -> Result<Self, TokenError> {
        let mut der = PREFIX.to_vec();
        der.extend_from_slice(seed);
        let key = EncodingKey::from_ed_der(&der);
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(|_| TokenError)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { return Err(TokenError) };
        let public = VerifyingKey::new(kid, pair.x).ok_or(TokenError)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        Ok(Self { key, header, public, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// The PKCS #8 PEM text of a raw secret, as [`new`](Self::new) reads it, to create key files.
    pub fn pem_of(seed: &[u8; SEED]) -> String {
        let mut der = PREFIX.to_vec();
        der.extend_from_slice(seed);
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    }

    /// A token for `caller`, valid until the caller's expiry, issued at `issued`.
    pub fn sign(&self, caller: &Caller, issued: SystemTime) -> String {
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: caller.user,
            sid: caller.session,
            role: caller.role,
            iat: seconds(issued),
            exp: seconds(caller.expires),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).expect("claims are plain data and the key was checked")
    }

    /// The public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> JsonWebKey {
        self.public.to_jwk()
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("kid", &self.public.kid()).finish_non_exhaustive()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pem_key_and_its_seed_are_the_same_key() {
        let seed = [9; 32];
        let by_seed = TokenSigner::from_seed(&seed, "k", "i", "a").unwrap();
        let by_pem = TokenSigner::new(&TokenSigner::pem_of(&seed), "k", "i", "a").unwrap();
        assert_eq!(by_seed.jwk(), by_pem.jwk());
    }

    #[test]
    fn an_invalid_key_is_refused() {
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "rubbish"] {
            assert_eq!(TokenSigner::new(pem, "k", "i", "a").unwrap_err(), TokenError);
        }
    }
}
