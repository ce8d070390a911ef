//! The key of a service's page tokens: made by the first migration, alike in every replica, read when first needed.
//!
//! Owns the table `page_token_key`.

use std::fmt;

use flotilla_listing::page::PageTokens;
use flotilla_postgres::refinery::Runner;
use flotilla_postgres::{Error, ErrorKind, Pool};
use tokio::sync::OnceCell;

/// Reads the key.
const READ: &str = "SELECT key FROM page_token_key";

/// The migrations of this crate's table, applied by the service's owner under the history table `service_history`.
#[must_use]
pub fn migrations() -> Runner {
    embedded::migrations::runner()
}

mod embedded {
    #![allow(missing_docs, reason = "generated")]
    refinery::embed_migrations!("migrations");
}

/// The key, once it has been read.
pub struct PageKey {
    system: Pool,
    tokens: OnceCell<PageTokens>,
}

impl PageKey {
    /// The key in this database.
    #[must_use]
    pub fn new(system: Pool) -> Self {
        Self { system, tokens: OnceCell::new() }
    }

    /// The tokens signed with it.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn tokens(&self) -> Result<&PageTokens, Error> {
        self.tokens
            .get_or_try_init(|| async {
                let rows = self.system.query(READ, &[]).await?;
                let row = rows.first().ok_or_else(|| Error::new(ErrorKind::Other, "the page token key is missing"))?;
                Ok(PageTokens::new(row.get::<Vec<u8>>(0)?))
            })
            .await
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageKey")
    }
}
