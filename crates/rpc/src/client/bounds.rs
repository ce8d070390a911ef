//! The limits of a connection: how many unary calls or streams it carries.

use super::methods::Method;
use crate::ClientSettings;

/// Maximum number of unary calls on a connection, if the server allows as many.
const CALLS: u32 = 1024;
/// Receive window of a unary call.
const CALL_WINDOW: u32 = 64 * 1024;
/// Receive window of a stream: there are many, and their callers may be slow.
const STREAM_WINDOW: u32 = 16 * 1024;

/// The class of a connection's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// One message each way.
    Calls,
    /// Streams, and methods without a description.
    Streams,
}

impl Class {
    /// The class of a method's calls.
    pub fn of(method: &Method) -> Self {
        if method.is_stream() || !method.kept { Self::Streams } else { Self::Calls }
    }
}

/// The limits of a class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Maximum number of connections to one address.
    pub connections: usize,
    /// Maximum number of calls on one connection.
    pub calls: u32,
    /// Receive window of a call.
    pub stream_window: u32,
}

impl Bounds {
    pub fn of(class: Class, settings: &ClientSettings) -> Self {
        let (connections, calls, stream_window) = match class {
            Class::Calls => (settings.call_connections, CALLS, CALL_WINDOW),
            Class::Streams => (settings.stream_connections, settings.streams_per_connection, STREAM_WINDOW),
        };
        Self { connections, calls, stream_window }
    }

    /// A window that all calls of a connection together can't exhaust.
    pub fn connection_window(self) -> u32 {
        // The maximum that HTTP/2 allows.
        self.stream_window.saturating_mul(self.calls).min((1 << 31) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_calls_never_exhaust_that_of_their_connection() {
        for class in [Class::Calls, Class::Streams] {
            for streams_per_connection in [1, 256, u32::MAX] {
                let settings = ClientSettings { streams_per_connection, ..ClientSettings::default() };
                let bounds = Bounds::of(class, &settings);
                let together = u64::from(bounds.calls) * u64::from(bounds.stream_window);
                assert!(u64::from(bounds.connection_window()) >= together.min((1 << 31) - 1), "{bounds:?}");
            }
        }
    }

    #[test]
    fn a_channel_takes_more_than_a_server_of_the_fleet_lets_in() {
        let (client, server) = (ClientSettings::default(), crate::ServerSettings::default());
        let most = |class| {
            let bounds = Bounds::of(class, &client);
            bounds.connections * bounds.calls.min(server.max_calls_per_connection) as usize
        };
        assert!(most(Class::Streams) > server.max_streams);
        assert!(most(Class::Calls) > server.max_calls);
    }
}
