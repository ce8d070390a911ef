//! The keys that sign tokens: made once, kept in the database, shared by all replicas.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flotilla_messaging::Random;
use flotilla_proto::identity::v1::JsonWebKey;
use flotilla_rpc::{Caller, Role, StaticKeys, TokenError, TokenSigner, VerifyingKey};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::AuthSettings;

/// Bytes of an Ed25519 secret.
pub const SECRET_BYTES: usize = 32;

/// A key as it is stored.
#[derive(Clone)]
pub struct StoredKey {
    /// Its id: the key's own fingerprint (RFC 7638).
    pub kid: String,
    /// The 32 secret bytes.
    pub secret: Vec<u8>,
    /// The 32 public bytes.
    pub public: Vec<u8>,
}

impl StoredKey {
    /// A new key.
    ///
    /// # Errors
    /// Never in practice: any 32 bytes are a secret.
    pub fn generate(random: &dyn Random) -> Result<Self, TokenError> {
        let mut secret = [0; SECRET_BYTES];
        random.fill(&mut secret);
        let jwk = TokenSigner::from_seed(&secret, "", "", "")?.jwk();
        let public = URL_SAFE_NO_PAD.decode(&jwk.x).map_err(|_| TokenError)?;
        Ok(Self { kid: thumbprint(&jwk), secret: secret.to_vec(), public })
    }
}

/// The fingerprint of a key (RFC 7638): equal keys have equal ids.
fn thumbprint(jwk: &JsonWebKey) -> String {
    let canonical = format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, jwk.crv, jwk.kty, jwk.x);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// Signs with the newest key; publishes all.
pub struct SigningKeys {
    signer: TokenSigner,
    published: Vec<VerifyingKey>,
    lifetime: Duration,
}

/// A signed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The JWT.
    pub text: String,
    /// When it ends, in whole seconds.
    pub expires: SystemTime,
}

impl SigningKeys {
    /// Over the stored keys, newest first.
    ///
    /// # Errors
    /// No key, or one of the wrong size.
    pub fn new(stored: &[StoredKey], settings: &AuthSettings) -> Result<Self, TokenError> {
        let signer = |key: &StoredKey| {
            let secret: [u8; SECRET_BYTES] = key.secret.as_slice().try_into().map_err(|_| TokenError)?;
            TokenSigner::from_seed(&secret, &key.kid, &settings.issuer, &settings.audience)
        };
        let signers = stored.iter().map(signer).collect::<Result<Vec<_>, _>>()?;
        let published = signers.iter().map(TokenSigner::verifying_key).collect();
        let signer = signers.into_iter().next().ok_or(TokenError)?;
        Ok(Self { signer, published, lifetime: settings.token_lifetime.get() })
    }

    /// A token for a user, from `now` on.
    pub fn sign(&self, user: Uuid, role: Role, now: SystemTime) -> Token {
        let ends = now + self.lifetime;
        let seconds = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Token { text: self.signer.sign(&Caller { user, role, expires }, now), expires }
    }

    /// The public keys, newest first (RFC 7517).
    pub fn published(&self) -> Vec<JsonWebKey> {
        self.published.iter().map(VerifyingKey::to_jwk).collect()
    }

    /// The public keys as identity checks its own callers by them.
    pub fn source(&self) -> Arc<StaticKeys> {
        Arc::new(StaticKeys::new(self.published.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use flotilla_messaging::OsRandom;
    use flotilla_rpc::Authenticator;

    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_the_rfc() {
        // RFC 8037, appendix A.3.
        let jwk = JsonWebKey {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            ..Default::default()
        };
        assert_eq!(thumbprint(&jwk), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[tokio::test]
    async fn the_newest_key_signs_and_all_verify() {
        let settings = AuthSettings::default();
        let old = StoredKey::generate(&OsRandom).expect("any bytes are a key");
        let new = StoredKey::generate(&OsRandom).expect("any bytes are a key");
        let keys = SigningKeys::new(&[new.clone(), old.clone()], &settings).expect("sound keys");
        let before = SigningKeys::new(&[old], &settings).expect("a sound key");
        let now = flotilla_messaging::Ids::system().now();
        let user = Uuid::from_u128(7);
        let authenticator = Authenticator::new(&settings.verification(), keys.source());
        for signer in [&keys, &before] {
            let token = signer.sign(user, Role::Customer, now);
            let caller = authenticator.verify(&token.text).await.expect("a token of a published key");
            assert_eq!((caller.user, caller.role, caller.expires), (user, Role::Customer, token.expires));
        }
        assert_eq!(keys.published()[0].kid, new.kid);
        assert!(SigningKeys::new(&[], &settings).is_err());
    }
}
