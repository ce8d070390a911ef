//! Splits an upload into its lines as it arrives: only the current line and the rest of its chunk are in memory.

use bytes::{Buf as _, Bytes, BytesMut};
use flotilla_wire::Encoding;
use flotilla_wire::gzip::Inflater;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::body::{Text, broken, not_gzip};
use crate::problem::Problem;

/// The lines of a body.
#[derive(Debug)]
pub struct Lines<B> {
    body: B,
    limit: usize,
    inflater: Option<Inflater>,
    /// Received and still compressed.
    packed: Bytes,
    /// Received and decompressed, but not yet split into lines.
    buffer: BytesMut,
    /// How far the buffer has been searched for the end of a line.
    searched: usize,
    /// How many lines have been returned.
    count: u64,
    ended: bool,
}

impl<B> Lines<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Lines of at most `limit` bytes.
    pub fn new(body: B, encoding: Encoding, limit: usize) -> Self {
        let inflater = (encoding == Encoding::Gzip).then(Inflater::default);
        let (packed, buffer) = (Bytes::new(), BytesMut::new());
        Self { body, limit, inflater, packed, buffer, searched: 0, count: 0, ended: false }
    }

    /// The number of the line that was returned last, from 1.
    pub fn number(&self) -> u64 {
        self.count
    }

    /// The next line that isn't blank; `None` at the end.
    ///
    /// # Errors
    /// The line is too long or not UTF-8, or the client aborted the request.
    pub async fn next(&mut self) -> Result<Option<Text>, Problem> {
        // Ends with the body; the caller limits how long it may take.
        loop {
            if let Some(line) = self.cut()? {
                if !line.as_str().trim().is_empty() {
                    return Ok(Some(line));
                }
            } else if self.ended {
                return Ok(None);
            } else {
                self.more().await?;
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Text>, Problem> {
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        let length = match end {
            Some(end) => end + 1,
            None if self.ended && !self.buffer.is_empty() => self.buffer.len(),
            None if self.buffer.len() > self.limit => return Err(self.too_long()),
            None => {
                self.searched = self.buffer.len();
                return Ok(None);
            }
        };
        self.searched = 0;
        self.count += 1;
        let mut line = self.buffer.split_to(length).freeze();
        line.truncate(line.len() - usize::from(line.ends_with(b"\n")));
        if line.len() > self.limit {
            return Err(self.too_long());
        }
        Text::new(line).map(Some).map_err(|problem| problem.at_line(self.count))
    }

    fn too_long(&self) -> Problem {
        Problem::too_large(self.limit).at_line(self.count.max(1))
    }

    /// Reads the next chunk.
    async fn more(&mut self) -> Result<(), Problem> {
        if self.packed.is_empty() {
            match self.body.frame().await {
                None => return self.end(),
                Some(Err(_)) => return Err(broken().at_line(self.count + 1)),
                Some(Ok(frame)) => match (frame.into_data(), &self.inflater) {
                    (Err(_), _) => return Ok(()),
                    (Ok(data), Some(_)) => self.packed = data,
                    (Ok(data), None) => {
                        self.buffer.extend_from_slice(&data);
                        return Ok(());
                    }
                },
            }
        }
        if let Some(inflater) = &mut self.inflater {
            let taken = inflater.push(&self.packed).map_err(|_| not_gzip())?;
            self.packed.advance(taken);
            inflater.take(&mut self.buffer);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        self.ended = true;
        if let Some(mut inflater) = self.inflater.take() {
            inflater.finish().map_err(|_| not_gzip())?;
            inflater.take(&mut self.buffer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use flotilla_wire::gzip::deflate;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::message::MIN_COMPRESSED;

    async fn lines(bytes: &[u8], size: usize, encoding: Encoding, limit: usize) -> (Vec<String>, Option<&'static str>) {
        let frames: Vec<_> =
            bytes.chunks(size).map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        let mut lines = Lines::new(StreamBody::new(stream::iter(frames)), encoding, limit);
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => found.push(format!("{} {}", lines.number(), line.as_str())),
                Ok(None) => return (found, None),
                Err(problem) => {
                    let text = String::from_utf8(problem.json("r")).unwrap();
                    assert!(
                        text.contains(&format!("\"line\":\"{}\"", lines.number().max(1))) || text.contains("gzip"),
                        "{text}"
                    );
                    return (found, Some(problem.reason().to_owned().leak()));
                }
            }
        }
    }

    #[tokio::test]
    async fn lines_are_split_however_the_body_is_chunked_or_compressed() {
        let text = b"{\"a\":1}\r\n\n  \n{\"b\":2}\nlast";
        let expected = ["1 {\"a\":1}\r", "4 {\"b\":2}", "5 last"];
        for size in [1, 2, 7, 100] {
            assert_eq!(lines(text, size, Encoding::Identity, 10).await, (expected.map(str::to_owned).to_vec(), None));
        }
        let long = b"{\"a\":1}\n".repeat(1000);
        let packed = deflate(&long, MIN_COMPRESSED).unwrap();
        for size in [1, 64, 100_000] {
            let (found, problem) = lines(&packed, size, Encoding::Gzip, 10).await;
            assert_eq!((found.len(), problem), (1000, None), "pieces of {size}");
        }
        assert_eq!(lines(b"", 1, Encoding::Identity, 10).await, (vec![], None));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_ends_the_upload_with_its_number() {
        let text = b"ok\n12345678901\n";
        for size in [1, 100] {
            let expected = (vec!["1 ok".to_owned()], Some("BODY_TOO_LARGE"));
            assert_eq!(lines(text, size, Encoding::Identity, 10).await, expected);
        }
        assert_eq!(lines(&[b'x'; 5000], 100, Encoding::Identity, 10).await.1, Some("BODY_TOO_LARGE"));
    }

    #[tokio::test]
    async fn invalid_text_or_gzip_is_refused() {
        assert_eq!(lines(b"ok\n\xff\n", 100, Encoding::Identity, 10).await.1, Some("INVALID_UTF8"));
        assert_eq!(lines(b"no gzip", 100, Encoding::Gzip, 10).await.1, Some("COMPRESSION_BROKEN"));
        let packed = deflate(&[b'\n'; 5000], MIN_COMPRESSED).unwrap();
        assert_eq!(lines(&packed[..packed.len() - 4], 100, Encoding::Gzip, 10).await.1, Some("COMPRESSION_BROKEN"));
    }
}
