//! Connects to an address that contains a user and a password, which the client takes separately.

use std::io;

use async_nats::{Client, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// The server in `url`, and options with its user and password if there are any: the client doesn't read them from the
/// address.
///
/// # Errors
/// If the address is malformed.
pub fn login(url: &str) -> io::Result<(ServerAddr, ConnectOptions)> {
    let address: ServerAddr = url.parse()?;
    let options = match credentials(&address) {
        Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::new(),
    };
    Ok((address, options))
}

/// Connects a client to the server at `url`, with the user and password in the address.
///
/// # Errors
/// If the address is malformed, or the server doesn't answer or refuses.
pub async fn connect(url: &str) -> io::Result<Client> {
    let (address, options) = login(url)?;
    options.connect(address).await.map_err(io::Error::other)
}

fn credentials(address: &ServerAddr) -> Option<(String, String)> {
    // Special characters are percent-encoded in an address.
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((plain(address.username()?), plain(address.password()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_are_taken_from_the_address() {
        let of = |url: &str| credentials(&url.parse().unwrap());
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("nats://orders:secret@127.0.0.1:1"), pair("orders", "secret"));
        assert_eq!(of("nats://orders:p%40ss%2F%25@127.0.0.1:1"), pair("orders", "p@ss/%"));
        assert_eq!(of("nats://127.0.0.1:1"), None);
    }
}
