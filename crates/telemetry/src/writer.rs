//! The thread that writes log lines.
//!
//! Owns standard output. Lines wait in a bounded queue; if it is full because the reader of the output is slow, lines are
//! dropped and counted instead of delaying the caller. Every line is scrubbed here, on this thread.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

use crate::redact::scrub;

enum Message {
    Line(Vec<u8>),
    /// Drops the sender when everything queued before it has been written.
    Flush(Sender<()>),
}

/// Hands lines to the writing thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogWriter {
    queue: SyncSender<Message>,
    dropped: IntCounter,
}

impl LogWriter {
    /// Starts the thread. It ends when the last clone is gone.
    pub(crate) fn start(output: impl Write + Send + 'static, queue: usize, dropped: IntCounter) -> io::Result<Self> {
        let (sender, lines) = sync_channel(queue.max(1));
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || write_lines(&lines, output))?;
        Ok(Self { queue: sender, dropped })
    }

    /// Waits until the lines queued so far are written, for at most `max_wait`.
    pub(crate) fn flush(&self, max_wait: Duration) {
        let (done, wait) = channel();
        // A full queue means that the reader is stuck; waiting for room is pointless.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // Both outcomes end the wait: disconnected is "written", the timeout is the bound.
            let (Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) | Ok(())) =
                wait.recv_timeout(max_wait);
        }
    }
}

fn write_lines(lines: &Receiver<Message>, output: impl Write) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        let mut waiting = Vec::new();
        // Queued lines are written in one go; a single line is written immediately.
        while let Some(message) = next {
            match message {
                // Closed output must not stop the process.
                Message::Line(line) => drop(output.write_all(scrubbed(&line).as_bytes())),
                Message::Flush(done) => waiting.push(done),
            }
            next = lines.try_recv().ok();
        }
        drop(output.flush());
        drop(waiting);
    }
}

/// Masks secrets in a line. Bytes that aren't UTF-8 are replaced.
fn scrubbed(line: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(line) => scrub(line),
        Cow::Owned(line) => Cow::Owned(scrub(&line).into_owned()),
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
pub(crate) use tests::Kept;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Output that keeps what is written.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "dropped").unwrap()
    }

    #[test]
    fn lines_are_written_whole_and_in_order() {
        let kept = Kept::default();
        let mut writer = LogWriter::start(kept.clone(), 1_000, counter()).unwrap();
        for n in 0..500 {
            writer.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        writer.flush(Duration::from_secs(5));
        let expected: String = (0..500).map(|n| format!("line {n}\n")).collect();
        assert_eq!(kept.text(), expected);
    }

    #[test]
    fn lines_are_dropped_without_a_delay_while_the_reader_stalls() {
        struct Stalled(Receiver<()>);
        impl Write for Stalled {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (resume, stalled) = channel();
        let dropped = counter();
        let mut writer = LogWriter::start(Stalled(stalled), 4, dropped.clone()).unwrap();
        let line = vec![b'x'; 128 * 1024];
        for _ in 0..20 {
            writer.write_all(&line).unwrap();
        }
        assert!(dropped.get() >= 15, "{} dropped", dropped.get());
        writer.flush(Duration::from_millis(50));
        drop(resume);
    }
}
