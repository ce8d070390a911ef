//! A compacted log in memory: the latest price of every product, in the order in which the prices changed.
//!
//! Each product has one position. A changed price moves to the end, so a reader that continues from a position reads
//! every product that has changed since, once, however often it has changed.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::BucketPrice;
use crate::domain::price::{Latest, PriceUpdate};
use crate::domain::product::ProductId;

/// The epoch before any bucket was seen.
const NO_EPOCH: i64 = 0;

/// The latest prices in memory.
pub struct PriceLog {
    state: Mutex<State>,
    /// The last position; may lag behind the state but is never ahead of it.
    last: watch::Sender<u64>,
    loaded: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// The bucket of the revisions, identified by its creation time.
    epoch: i64,
    /// The highest revision seen in it.
    revision: u64,
    last: u64,
    products: BTreeMap<ProductId, Entry>,
    positions: BTreeMap<u64, ProductId>,
}

struct Entry {
    latest: Latest,
    position: u64,
    epoch: i64,
    /// The revision that introduced the price.
    at: u64,
    /// The revision last written.
    revision: u64,
}

/// A price in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntry {
    /// The product.
    pub product: ProductId,
    /// Its price.
    pub latest: Latest,
    /// Its position.
    pub position: u64,
    /// The bucket of the revision.
    pub epoch: i64,
    /// The revision.
    pub at: u64,
}

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The bucket.
    pub epoch: i64,
    /// Its revision: the log has all prices up to it.
    pub revision: u64,
    /// The last position.
    pub position: u64,
}

impl PriceLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default(), last: watch::Sender::new(0), loaded: watch::Sender::new(false) }
    }

    /// Adds prices read from the database.
    pub fn load(&self, updates: &[PriceUpdate]) {
        let mut state = self.state.lock();
        for update in updates {
            let latest = match state.products.get(&update.product) {
                Some(entry) => entry.latest.updated(update),
                None => Some(Latest::first(update)),
            };
            if let Some(latest) = latest {
                state.put(&update.product, latest, None);
            }
        }
        self.announce(state.last);
    }

    /// All prices of the database have been added: readers are served from now on.
    pub fn set_loaded(&self) {
        self.loaded.send_replace(true);
    }

    /// Waits until readers are served.
    pub async fn loaded(&self) {
        // The sender lives as long as the log.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// Starts watching a bucket that was created at `epoch`. Known prices are kept.
    pub fn begin(&self, epoch: i64) {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            (state.epoch, state.revision) = (epoch, 0);
        }
    }

    /// Whether a bucket has lost revisions that the log has seen.
    #[must_use]
    pub fn is_ahead_of(&self, epoch: i64, last: u64) -> bool {
        let state = self.state.lock();
        state.epoch == epoch && state.revision > last
    }

    /// Adds a price of the watched bucket.
    pub fn observe(&self, product: &ProductId, price: BucketPrice, revision: u64) {
        let mut state = self.state.lock();
        state.revision = state.revision.max(revision);
        let known = state.products.get(product).map(|entry| entry.latest);
        // A price read from the database earlier is newer; the bucket will catch up.
        if known.is_none_or(|known| known.seen <= price.latest.seen) {
            state.put(product, price.latest, Some((price.at, revision)));
        }
        self.announce(state.last);
    }

    /// The bucket's known entry of a product, with its revision.
    #[must_use]
    pub fn in_bucket(&self, epoch: i64, product: &ProductId) -> Option<(BucketPrice, u64)> {
        let state = self.state.lock();
        let entry = state.products.get(product).filter(|entry| entry.epoch == epoch && entry.revision > 0)?;
        Some((BucketPrice { latest: entry.latest, at: entry.at }, entry.revision))
    }

    /// The content of the log.
    #[must_use]
    pub fn all(&self) -> BTreeMap<ProductId, Latest> {
        let state = self.state.lock();
        state.products.iter().map(|(product, entry)| (product.clone(), entry.latest)).collect()
    }

    /// Replaces a price that a restore of the catalogue has undone with the current one; a product that no longer
    /// exists is sent as deleted. Returns whether the watched bucket still has the undone price.
    pub fn correct(&self, product: &ProductId, now: Option<&PriceUpdate>) -> bool {
        let mut state = self.state.lock();
        let Some(known) = state.products.get(product) else { return false };
        let from_bucket = known.epoch == state.epoch;
        let gone = Latest { deleted: true, seen: 0, ..known.latest };
        let latest = now.map_or(gone, Latest::first);
        state.put(product, latest, None);
        self.announce(state.last);
        from_bucket
    }

    /// The end of the log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let state = self.state.lock();
        Mark { epoch: state.epoch, revision: state.revision, position: state.last }
    }

    /// The first product after `after` by id whose position is at most `position`.
    #[must_use]
    pub fn next_product(&self, after: Option<&ProductId>, position: u64) -> Option<PriceEntry> {
        let state = self.state.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut products = state.products.range::<ProductId, _>((from, Bound::Unbounded));
        products.find(|(_, entry)| entry.position <= position).map(|(product, entry)| entry.of(product))
    }

    /// The first change after a position.
    #[must_use]
    pub fn next_change(&self, position: u64) -> Option<PriceEntry> {
        let state = self.state.lock();
        let (_, product) = state.positions.range((Bound::Excluded(position), Bound::Unbounded)).next()?;
        state.products.get(product).map(|entry| entry.of(product))
    }

    /// Waits for a change after a position.
    pub async fn beyond(&self, position: u64) {
        let _ = self.last.subscribe().wait_for(|last| *last > position).await;
    }

    /// Called with the state locked, so that positions are announced in order.
    fn announce(&self, last: u64) {
        self.last.send_if_modified(|known| std::mem::replace(known, last) != last);
    }
}

impl Default for PriceLog {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Stores a price and its revision in the bucket; a price that differs moves to the end.
    fn put(&mut self, product: &ProductId, latest: Latest, kept: Option<(u64, u64)>) {
        let known = self.products.get(product);
        let same = known.is_some_and(|entry| entry.latest.same(&latest));
        let position = match known {
            Some(entry) if same => entry.position,
            _ => {
                if let Some(position) = known.map(|entry| entry.position) {
                    self.positions.remove(&position);
                }
                self.last += 1;
                self.positions.insert(self.last, product.clone());
                self.last
            }
        };
        let (epoch, (at, revision)) = kept.map_or((NO_EPOCH, (0, 0)), |kept| (self.epoch, kept));
        self.products.insert(product.clone(), Entry { latest, position, epoch, at, revision });
    }
}

impl Entry {
    fn of(&self, product: &ProductId) -> PriceEntry {
        PriceEntry {
            product: product.clone(),
            latest: self.latest,
            position: self.position,
            epoch: self.epoch,
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_money::{Amount, Currency};

    use super::*;

    fn id(number: u64) -> ProductId {
        ProductId::parse(&format!("p{number}")).expect("an id")
    }

    fn price(minor: i64, version: i64, at: u64) -> BucketPrice {
        let price = Amount { minor, currency: Currency::parse("USD").expect("known") };
        BucketPrice { latest: Latest { price, deleted: false, since: version, seen: version }, at }
    }

    fn read(log: &PriceLog, mut position: u64) -> Vec<(String, i64)> {
        let mut read = Vec::new();
        while let Some(entry) = log.next_change(position) {
            position = entry.position;
            read.push((entry.product.to_string(), entry.latest.price.minor));
        }
        read
    }

    #[test]
    fn a_reader_that_stood_still_for_ten_thousand_changes_meets_each_product_once() {
        let log = PriceLog::new();
        log.begin(1);
        for change in 1..=10_000_u64 {
            let minor = i64::try_from(change).expect("small");
            log.observe(&id(change % 5), price(minor, minor, change), change);
        }
        assert_eq!(log.state.lock().positions.len(), 5);
        let latest = [("p1", 9_996), ("p2", 9_997), ("p3", 9_998), ("p4", 9_999), ("p0", 10_000)];
        assert_eq!(read(&log, 0), latest.map(|(product, minor)| (product.to_owned(), minor)));
    }

    #[test]
    fn a_price_that_is_observed_again_moves_nothing() {
        let log = PriceLog::new();
        log.begin(1);
        log.observe(&id(1), price(100, 1, 1), 1);
        log.observe(&id(2), price(100, 1, 2), 2);
        let position = log.mark().position;
        log.observe(&id(1), price(100, 1, 1), 1);
        log.observe(&id(1), price(100, 2, 1), 3);
        assert_eq!(read(&log, position), []);
        assert_eq!(log.mark().revision, 3);
        assert_eq!(log.in_bucket(1, &id(1)).expect("kept").1, 3);
    }

    #[test]
    fn a_bucket_that_lags_behind_the_database_brings_no_old_price_back() {
        let log = PriceLog::new();
        let update = PriceUpdate { product: id(1), price: price(300, 3, 0).latest.price, deleted: false, version: 3 };
        log.load(&[update]);
        log.begin(1);
        log.observe(&id(1), price(200, 2, 1), 1);
        assert_eq!(read(&log, 0), [("p1".to_owned(), 300)]);
        assert_eq!(log.in_bucket(1, &id(1)), None, "the bucket holds another price");
    }

    #[test]
    fn a_price_that_was_undone_is_replaced_and_read_again() {
        let log = PriceLog::new();
        log.begin(1);
        log.observe(&id(1), price(500, 5, 1), 1);
        log.observe(&id(2), price(200, 1, 2), 2);
        let position = log.mark().position;
        let now = PriceUpdate { product: id(1), price: price(300, 3, 0).latest.price, deleted: false, version: 3 };
        assert!(log.correct(&id(1), Some(&now)) && log.correct(&id(2), None));
        assert!(!log.correct(&id(2), None) && !log.correct(&id(3), None), "nothing of the bucket's");
        assert_eq!(read(&log, position), [("p1".to_owned(), 300), ("p2".to_owned(), 200)]);
        let made_anew = PriceUpdate { product: id(2), version: 1, ..now };
        log.load(&[made_anew]);
        assert_eq!(log.all()[&id(2)].seen, 1, "a product of the same name is newer");
    }

    #[test]
    fn a_bucket_made_anew_changes_no_price_and_outdates_all_revisions() {
        let log = PriceLog::new();
        log.begin(1);
        log.observe(&id(1), price(100, 1, 7), 7);
        assert!(log.is_ahead_of(1, 6) && !log.is_ahead_of(1, 7) && !log.is_ahead_of(2, 0));
        let position = log.mark().position;
        log.begin(2);
        assert_eq!(log.in_bucket(2, &id(1)), None);
        log.observe(&id(1), price(100, 1, 1), 1);
        assert_eq!(read(&log, position), []);
        assert_eq!(log.next_change(0).map(|entry| (entry.epoch, entry.at)), Some((2, 1)));
    }
}
