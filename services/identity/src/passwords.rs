//! Hashing and checking of passwords: Argon2id on blocking threads, few at a time.
//!
//! Guarantees: at most `concurrent` hashes run and at most `queue` callers wait, whatever comes in (a hash takes 19 MiB
//! and tens of milliseconds of a core); an unknown address costs the same work as a wrong password.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use flotilla_messaging::Random;
use flotilla_redact::Secret;
use tokio::sync::Semaphore;

use crate::config::PasswordSettings;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Too many passwords wait already, or the work broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Busy;

/// The settings are outside of what Argon2 takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("passwords: memory, iterations and parallelism are outside of what Argon2 takes")]
pub struct BadParameters;

/// Hashes and checks passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    random: Arc<dyn Random>,
    working: Arc<Semaphore>,
    admitted: Semaphore,
    /// A hash that no password has, with the parameters of the others.
    decoy: Arc<str>,
}

impl Passwords {
    /// With the settings' parameters; salts come from `random`.
    ///
    /// # Errors
    /// Parameters that Argon2 doesn't take.
    pub fn new(settings: &PasswordSettings, random: Arc<dyn Random>) -> Result<Self, BadParameters> {
        let PasswordSettings { memory_kib, iterations, parallelism, concurrent, queue } = *settings;
        let params = Params::new(memory_kib, iterations, parallelism, Some(HASH_BYTES)).map_err(|_| BadParameters)?;
        let mut noise = [0; SALT_BYTES + HASH_BYTES];
        random.fill(&mut noise);
        let (salt, hash) = noise.split_at(SALT_BYTES);
        let decoy = format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${}${}",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(hash)
        );
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            random,
            working: Arc::new(Semaphore::new(concurrent)),
            admitted: Semaphore::new(concurrent + queue),
            decoy: decoy.into(),
        })
    }

    /// Hashes a password, with a salt of its own, into a PHC string.
    ///
    /// # Errors
    /// [`Busy`]: try again later.
    pub async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, Busy> {
        let mut salt = [0; SALT_BYTES];
        self.random.fill(&mut salt);
        let argon2 = self.argon2.clone();
        let hash = move || -> Option<Secret<String>> {
            let hash: PasswordHash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
            Some(hash.to_string().into())
        };
        self.work(hash).await?.ok_or(Busy)
    }

    /// Whether `password` has this hash; with none to check, the same work and false.
    ///
    /// # Errors
    /// [`Busy`]: try again later.
    pub async fn verify(&self, password: Secret<String>, hash: Option<Secret<String>>) -> Result<bool, Busy> {
        let argon2 = self.argon2.clone();
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.decoy), |hash| hash.into_exposed().into());
        let right = self.work(move || argon2.verify_password(password.expose().as_bytes(), &hash[..]).is_ok()).await?;
        Ok(right && known)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _admitted = self.admitted.try_acquire().map_err(|_| Busy)?;
        let permit = Arc::clone(&self.working).acquire_owned().await.map_err(|_| Busy)?;
        let work = move || {
            let done = work();
            // Held until the thread is free again, though the caller may have left.
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use flotilla_messaging::OsRandom;

    use super::*;

    fn secret(text: &str) -> Secret<String> {
        text.to_owned().into()
    }

    fn passwords(concurrent: usize, queue: usize) -> Passwords {
        let settings = PasswordSettings { memory_kib: 64, iterations: 1, parallelism: 1, concurrent, queue };
        Passwords::new(&settings, Arc::new(OsRandom)).expect("parameters that Argon2 takes")
    }

    #[tokio::test]
    async fn only_the_right_password_has_the_hash() {
        let passwords = passwords(2, 8);
        let hash = passwords.hash(secret("correct horse")).await.expect("idle");
        assert!(hash.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert_eq!(passwords.verify(secret("correct horse"), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify(secret("wrong horse"), Some(hash.clone())).await, Ok(false));
        assert_eq!(passwords.verify(secret("correct horse"), None).await, Ok(false));
        assert_ne!(passwords.hash(secret("correct horse")).await, Ok(hash), "each hash has its own salt");
    }

    #[tokio::test]
    async fn the_decoy_is_a_hash_that_argon2_works_on_as_much_as_on_any() {
        let passwords = passwords(1, 1);
        let (decoy, hash) = (&passwords.decoy, passwords.hash(secret("correct horse")).await.expect("idle"));
        assert!(PasswordHash::new(decoy).is_ok(), "{decoy}");
        let costs = |hash: &str| {
            let (parameters, noise) = hash.rsplit_once('$').and_then(|(rest, hash)| {
                let (parameters, salt) = rest.rsplit_once('$')?;
                Some((parameters.to_owned(), (salt.len(), hash.len())))
            })?;
            Some((parameters, noise))
        };
        assert!(costs(decoy).is_some());
        assert_eq!(costs(decoy), costs(hash.expose()));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let passwords = passwords(1, 1);
        let (a, b, c) = tokio::join!(
            passwords.hash(secret("first")),
            passwords.hash(secret("second")),
            passwords.hash(secret("third"))
        );
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(c, Err(Busy));
    }
}
