//! A minimal HTTP client for admin endpoints on loopback.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The deadline of a response.
const DEADLINE: Duration = Duration::from_secs(2);
/// The maximum size of a response, in bytes; a longer one is cut off.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Host and port of an address, and the path in it: services of one process share the port.
fn split(address: &str) -> (&str, &str) {
    address.split_at(address.find('/').unwrap_or(address.len()))
}

/// Whether the admin endpoint at `host:port` reports its service as ready.
pub async fn is_ready(admin: &str) -> bool {
    get(admin, "/readyz").await.is_ok_and(|(status, _)| status == 200)
}

/// Only the status of a path, for a server that may keep the connection open.
///
/// # Errors
/// If there is no HTTP response in time.
pub async fn status(address: &str, path: &str) -> std::io::Result<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        // "HTTP/1.1 200"
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await??;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default())
}

/// Fetches a path, below the path in the address: status and body.
///
/// # Errors
/// If there is no HTTP response in time.
pub async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    send(address, "GET", path, "").await
}

/// Sends a request to a path below the one in the address, with JSON where there is a body: status and body.
///
/// # Errors
/// If there is no HTTP response in time.
pub async fn send(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let (address, base) = split(address);
    let path = format!("{base}{path}");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        let length = body.len();
        let request = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await??;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
