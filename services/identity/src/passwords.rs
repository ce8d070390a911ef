//! Hashes and checks passwords: Argon2id on blocking threads, a few at a time.
//!
//! Guarantees: at most `concurrent` hashes run and at most `queue` callers wait, whatever the load (a hash takes 19 MiB
//! and tens of milliseconds of CPU time); an unknown address costs the same work as a wrong password. Passwords are
//! normalized by RFC 8265 before hashing; hashes of unnormalized passwords from an earlier version are still accepted.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use flotilla_clock::Random;
use flotilla_redact::Secret;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{config::PasswordSettings, domain::precis::opaque_string};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Too many passwords are waiting, or the hashing was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Busy;

/// The settings are outside of Argon2's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("passwords: memory, iterations and parallelism are outside of what Argon2 takes")]
pub struct BadParameters;

/// The forms that a given password may have been hashed in: normalized and, if that differs, as typed (which an earlier
/// version hashed). A failed attempt costs the work for each form, whether the user exists or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    prepared: Option<Secret<String>>,
    raw: Option<Secret<String>>,
}

impl From<Secret<String>> for Given {
    fn from(password: Secret<String>) -> Self {
        match opaque_string(password.expose()) {
            Ok(prepared) if prepared == *password.expose() => Self { prepared: Some(password), raw: None },
            Ok(prepared) => Self { prepared: Some(prepared.into()), raw: Some(password) },
            Err(_) => Self { prepared: None, raw: Some(password) },
        }
    }
}

/// The result of checking a password against a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The password is wrong, or there was no hash.
    Wrong,
    /// The password is correct.
    Right,
    /// The password is correct, but the hash is of its unnormalized form: this normalized form should be hashed
    /// instead.
    RightUnprepared(Secret<String>),
}

/// A caller's slot in the hashing queue.
pub type Place<'a> = SemaphorePermit<'a>;

/// Hashes and checks passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    random: Arc<dyn Random>,
    working: Arc<Semaphore>,
    admitted: Semaphore,
    /// A hash that no password matches, with the same parameters.
    decoy: Arc<str>,
}

impl Passwords {
    /// Uses the settings' parameters; salts come from `random`.
    ///
    /// # Errors
    /// The parameters are outside of Argon2's limits.
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

    /// Takes a slot in the queue before any work is done for the caller.
    ///
    /// # Errors
    /// [`Busy`] if all are taken.
    pub fn place(&self) -> Result<Place<'_>, Busy> {
        self.admitted.try_acquire().map_err(|_| Busy)
    }

    /// Hashes a normalized password, with a random salt, into a PHC string.
    ///
    /// # Errors
    /// [`Busy`]: the caller should try again later.
    pub async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, Busy> {
        let mut salt = [0; SALT_BYTES];
        self.random.fill(&mut salt);
        let argon2 = self.argon2.clone();
        let hash = move || -> Option<Secret<String>> {
            let hash: PasswordHash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
            Some(hash.to_string().into())
        };
        let place = self.place()?;
        self.work(place, hash).await?.ok_or(Busy)
    }

    /// Whether `given` matches the hash; without a hash it does the same work and returns [`Checked::Wrong`].
    ///
    /// # Errors
    /// [`Busy`]: the caller should try again later.
    pub async fn verify(&self, place: Place<'_>, given: Given, hash: Option<Secret<String>>) -> Result<Checked, Busy> {
        let argon2 = self.argon2.clone();
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.decoy), |hash| hash.into_exposed().into());
        let check = move || {
            let has = |form: &Secret<String>| argon2.verify_password(form.expose().as_bytes(), &hash[..]).is_ok();
            if given.prepared.as_ref().is_some_and(has) {
                return Checked::Right;
            }
            match given {
                Given { raw: Some(raw), prepared } if has(&raw) => {
                    prepared.map_or(Checked::Right, Checked::RightUnprepared)
                }
                _ => Checked::Wrong,
            }
        };
        let checked = self.work(place, check).await?;
        Ok(if known { checked } else { Checked::Wrong })
    }

    async fn work<T: Send + 'static>(
        &self,
        place: Place<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = Arc::clone(&self.working).acquire_owned().await.map_err(|_| Busy)?;
        let work = move || {
            let done = work();
            // Held until the thread is free again, even if the caller has left.
            drop(permit);
            done
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| Busy);
        drop(place);
        done
    }
}

#[cfg(test)]
mod tests {
    use flotilla_clock::OsRandom;

    use super::*;

    fn secret(text: &str) -> Secret<String> {
        text.to_owned().into()
    }

    fn passwords(concurrent: usize, queue: usize) -> Passwords {
        let settings = PasswordSettings { memory_kib: 64, iterations: 1, parallelism: 1, concurrent, queue };
        Passwords::new(&settings, Arc::new(OsRandom)).expect("parameters that Argon2 takes")
    }

    async fn check(passwords: &Passwords, text: &str, hash: Option<&Secret<String>>) -> Checked {
        let place = passwords.place().expect("idle");
        passwords.verify(place, secret(text).into(), hash.cloned()).await.expect("idle")
    }

    #[tokio::test]
    async fn only_the_right_password_has_the_hash() {
        let passwords = passwords(2, 8);
        let hash = passwords.hash(secret("correct horse")).await.expect("idle");
        assert!(hash.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert_eq!(check(&passwords, "correct horse", Some(&hash)).await, Checked::Right);
        assert_eq!(check(&passwords, "wrong horse", Some(&hash)).await, Checked::Wrong);
        assert_eq!(check(&passwords, "correct horse", None).await, Checked::Wrong);
        assert_ne!(passwords.hash(secret("correct horse")).await, Ok(hash), "each hash has its own salt");
    }

    #[tokio::test]
    async fn the_same_characters_in_another_normal_form_have_the_hash() {
        let passwords = passwords(2, 8);
        let prepared = opaque_string("caf\u{e9} au lait").expect("a password");
        let hash = passwords.hash(prepared.into()).await.expect("idle");
        for same in ["caf\u{e9} au lait", "cafe\u{301} au lait", "cafe\u{301}\u{a0}au\u{2003}lait"] {
            assert_eq!(check(&passwords, same, Some(&hash)).await, Checked::Right, "{same:?}");
        }
        assert_eq!(check(&passwords, "cafe au lait", Some(&hash)).await, Checked::Wrong);
    }

    #[tokio::test]
    async fn the_hash_of_an_unprepared_password_verifies_and_asks_to_be_replaced() {
        let passwords = passwords(2, 8);
        let raw = "cafe\u{301} au lait";
        let hash = passwords.hash(secret(raw)).await.expect("idle");
        let prepared = secret("caf\u{e9} au lait");
        assert_eq!(check(&passwords, raw, Some(&hash)).await, Checked::RightUnprepared(prepared));
        // A password that is no longer allowed has no normalized form.
        let hash = passwords.hash(secret("tab\tstop")).await.expect("idle");
        assert_eq!(check(&passwords, "tab\tstop", Some(&hash)).await, Checked::Right);
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
