//! Names in Redis: of entries, their leases, and the channel of invalidations.

use bytes::Bytes;

/// The names of one cache. All processes with this cache use the same.
#[derive(Debug, Clone, Copy)]
pub struct Names(pub &'static str);

impl Names {
    /// The keys of an entry and of its lease. Both are in one slot of a cluster.
    pub fn keys(self, key: &str) -> [String; 2] {
        [format!("{}:v2:{{{key}}}", self.0), format!("{}:v2:{{{key}}}:lease", self.0)]
    }

    /// The channel of its invalidations.
    pub fn channel(self) -> String {
        format!("{}:v2:invalidations", self.0)
    }

    /// The same, as an argument of a script.
    pub fn channel_argument(self) -> Bytes {
        self.channel().into()
    }
}
