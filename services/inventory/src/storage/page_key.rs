//! The key of the page tokens: made by the first migration, alike in every replica, read when first needed.

use flotilla_postgres::{Error, ErrorKind, Pool};
use flotilla_rpc::page::PageTokens;
use tokio::sync::OnceCell;

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
                let rows = self.system.query(include_str!("../../queries/page_token_key.sql"), &[]).await?;
                let row = rows.first().ok_or_else(|| Error::new(ErrorKind::Other, "the page token key is missing"))?;
                Ok(PageTokens::new(row.try_get::<_, Vec<u8>>("key")?))
            })
            .await
    }
}
