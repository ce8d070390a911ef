//! Pages of a list: the start of one, and the token of the next.

use flotilla_rpc::{RpcError, invalid};

use crate::filter::Filter;
use crate::order_by::Sort;
use crate::schema::Listing;
use crate::sql::{Select, Statement};
use crate::value::Value;

mod token;

pub use token::{PageTokens, fingerprint, size};

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    tokens: PageTokens,
    query: String,
    filter: Filter,
    sorts: Vec<Sort>,
    after: Option<Vec<String>>,
    size: u32,
}

impl Listing {
    /// The page at `page_token`, the first if it is empty, with `size` rows (see [`size`]). `query` identifies the
    /// method and the owner of the rows.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `page_token` if it belongs to another method, owner, filter or order.
    pub fn page(self, tokens: &PageTokens, query: &[&str], page_token: &str, size: u32) -> Result<Page, RpcError> {
        let Self { filter, sorts, asked: [by_filter, by_order] } = self;
        let query = fingerprint(&[&fingerprint(query), &by_filter, &by_order]);
        let after: Option<Vec<String>> = tokens.resume(page_token, &query)?;
        // A token of an earlier release with other sort keys.
        if after.as_ref().is_some_and(|keys| keys.len() != sorts.len()) {
            return Err(invalid("page_token", "invalid page token: it belongs to another query"));
        }
        Ok(Page { tokens: tokens.clone(), query, filter, sorts, after, size })
    }
}

impl Page {
    /// The statement that reads the page and one more row, which shows whether another page follows. `own` are the
    /// parameters of the select's own condition.
    #[must_use]
    pub fn statement(&self, select: &Select, own: &[Value]) -> Statement {
        let (filter, after) = (self.filter.condition(), self.after.as_deref());
        Statement::page(select, own, filter, &self.sorts, after, self.size.saturating_add(1))
    }

    /// Truncates the rows to the page, and creates the token of the next; the empty one at the end. `key` reads
    /// the text of a row's [`key_column`](super::key_column) by its index.
    ///
    /// # Errors
    /// The error of `key`.
    pub fn cut<R, E>(&self, rows: &mut Vec<R>, key: impl Fn(&R, usize) -> Result<String, E>) -> Result<String, E> {
        let more = rows.len() > self.size as usize;
        rows.truncate(self.size as usize);
        let Some(last) = rows.last().filter(|_| more) else { return Ok(String::new()) };
        let keys: Vec<String> = (0..self.keys()).map(|index| key(last, index)).collect::<Result<_, E>>()?;
        Ok(self.tokens.sign(&keys, &self.query))
    }

    /// Sort keys of each row.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.sorts.len()
    }
}
