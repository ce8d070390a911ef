//! Public keys: their format and their sources.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flotilla_proto::identity::v1::JsonWebKey;
use jsonwebtoken::DecodingKey;

/// Bytes of an Ed25519 public key.
const KEY: usize = 32;

/// An Ed25519 public key with its id.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(crate) kid: String,
    pub(crate) key: DecodingKey,
    x: String,
}

impl VerifyingKey {
    /// A key from its id and `x` (the public key in unpadded base64url). `None` if it isn't 32 bytes.
    pub fn new(kid: impl Into<String>, x: impl Into<String>) -> Option<Self> {
        let x = x.into();
        let bytes = URL_SAFE_NO_PAD.decode(&x).ok().filter(|bytes| bytes.len() == KEY)?;
        Some(Self { kid: kid.into(), key: DecodingKey::from_ed_der(&bytes), x })
    }

    /// The key in a JWK; `None` for other key types, curves, algorithms and uses, and for keys without an id.
    pub fn from_jwk(jwk: &JsonWebKey) -> Option<Self> {
        let ours = jwk.kty == "OKP"
            && jwk.crv == "Ed25519"
            && !jwk.kid.is_empty()
            && matches!(jwk.alg.as_str(), "" | "EdDSA")
            && matches!(jwk.r#use.as_str(), "" | "sig");
        if ours { Self::new(jwk.kid.clone(), jwk.x.clone()) } else { None }
    }

    /// The key as a JWK.
    pub fn to_jwk(&self) -> JsonWebKey {
        JsonWebKey {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: self.x.clone(),
            kid: self.kid.clone(),
            alg: "EdDSA".to_owned(),
            r#use: "sig".to_owned(),
        }
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The keys can't be fetched now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("verification keys are unavailable: {0}")]
pub struct KeysUnavailable(pub String);

/// A source of verification keys. The [`Authenticator`](crate::Authenticator) caches them; a source needn't.
#[async_trait::async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that are valid now.
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable>;
}

/// A fixed set of keys, for tests and for identity itself.
#[derive(Debug, Clone)]
pub struct StaticKeys(Vec<VerifyingKey>);

impl StaticKeys {
    /// A source of these keys.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self(keys.into_iter().collect())
    }
}

#[async_trait::async_trait]
impl KeySource for StaticKeys {
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ed25519_signing_keys_of_the_right_length_are_taken() {
        let good = VerifyingKey::new("k1", URL_SAFE_NO_PAD.encode([7; 32])).unwrap().to_jwk();
        assert_eq!(VerifyingKey::from_jwk(&good).unwrap().kid(), "k1");
        let bad = [
            JsonWebKey { kty: "RSA".into(), ..good.clone() },
            JsonWebKey { crv: "X25519".into(), ..good.clone() },
            JsonWebKey { x: URL_SAFE_NO_PAD.encode([7; 31]), ..good.clone() },
            JsonWebKey { x: "?".into(), ..good.clone() },
            JsonWebKey { kid: String::new(), ..good.clone() },
            JsonWebKey { alg: "HS256".into(), ..good.clone() },
            JsonWebKey { r#use: "enc".into(), ..good },
        ];
        for jwk in bad {
            assert!(VerifyingKey::from_jwk(&jwk).is_none(), "{jwk:?}");
        }
    }
}
