//! The board: the latest price of every product, in the order in which the prices changed.
//!
//! Each product has one place. A price that changes moves to the end, so whoever reads on from a place meets every
//! product that changed since, once, however often it did.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::BucketPrice;
use crate::domain::price::{Latest, News};
use crate::domain::product::ProductId;

/// The epoch before any bucket was seen.
const NO_EPOCH: i64 = 0;

/// The latest prices in memory.
pub struct Board {
    state: Mutex<State>,
    /// The last place; lags behind the state and never runs ahead of it.
    last: watch::Sender<u64>,
    loaded: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Which bucket the revisions are of: the time at which it was made.
    epoch: i64,
    /// The highest revision seen of it.
    revision: u64,
    last: u64,
    products: BTreeMap<ProductId, Entry>,
    places: BTreeMap<u64, ProductId>,
}

struct Entry {
    latest: Latest,
    place: u64,
    epoch: i64,
    /// The revision that brought the price.
    at: u64,
    /// The revision last written.
    revision: u64,
}

/// A price as the board has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The product.
    pub product: ProductId,
    /// Its price.
    pub latest: Latest,
    /// Its place.
    pub place: u64,
    /// The bucket in which it has a revision.
    pub epoch: i64,
    /// That revision.
    pub at: u64,
}

/// How far the board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The bucket.
    pub epoch: i64,
    /// Its revision: all prices up to it are on the board.
    pub revision: u64,
    /// The last place.
    pub place: u64,
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default(), last: watch::Sender::new(0), loaded: watch::Sender::new(false) }
    }

    /// Takes in what the database says.
    pub fn load(&self, news: &[News]) {
        let mut state = self.state.lock();
        for news in news {
            let latest = match state.products.get(&news.product) {
                Some(entry) => entry.latest.hearing(news),
                None => Some(Latest::first(news)),
            };
            if let Some(latest) = latest {
                state.put(&news.product, latest, None);
            }
        }
        self.announce(state.last);
    }

    /// All that the database says was taken in: readers may come.
    pub fn set_loaded(&self) {
        self.loaded.send_replace(true);
    }

    /// Waits until readers may come.
    pub async fn loaded(&self) {
        // The sender lives as long as the board.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// From now on a bucket that was made at `epoch` is watched. What was known stays.
    pub fn begin(&self, epoch: i64) {
        let mut state = self.state.lock();
        if state.epoch != epoch {
            (state.epoch, state.revision) = (epoch, 0);
        }
    }

    /// Whether a bucket has lost revisions that the board has seen.
    #[must_use]
    pub fn is_ahead_of(&self, epoch: i64, last: u64) -> bool {
        let state = self.state.lock();
        state.epoch == epoch && state.revision > last
    }

    /// Takes in what the watched bucket keeps.
    pub fn observe(&self, product: &ProductId, price: BucketPrice, revision: u64) {
        let mut state = self.state.lock();
        state.revision = state.revision.max(revision);
        let known = state.products.get(product).map(|entry| entry.latest);
        // A price that the database told first is newer; the bucket will follow.
        if known.is_none_or(|known| known.seen <= price.latest.seen) {
            state.put(product, price.latest, Some((price.at, revision)));
        }
        self.announce(state.last);
    }

    /// What this bucket keeps of a product, as far as it is known, with its revision.
    #[must_use]
    pub fn kept(&self, epoch: i64, product: &ProductId) -> Option<(BucketPrice, u64)> {
        let state = self.state.lock();
        let entry = state.products.get(product).filter(|entry| entry.epoch == epoch && entry.revision > 0)?;
        Some((BucketPrice { latest: entry.latest, at: entry.at }, entry.revision))
    }

    /// The content of the board.
    #[must_use]
    pub fn all(&self) -> BTreeMap<ProductId, Latest> {
        let state = self.state.lock();
        state.products.iter().map(|(product, entry)| (product.clone(), entry.latest)).collect()
    }

    /// Replaces a price that a restore of the catalogue has undone with the present one; a product that no longer
    /// exists is sent as deleted. Returns whether the watched bucket still has the undone price.
    pub fn correct(&self, product: &ProductId, now: Option<&News>) -> bool {
        let mut state = self.state.lock();
        let Some(known) = state.products.get(product) else { return false };
        let from_bucket = known.epoch == state.epoch;
        let gone = Latest { deleted: true, seen: 0, ..known.latest };
        let latest = now.map_or(gone, Latest::first);
        state.put(product, latest, None);
        self.announce(state.last);
        from_bucket
    }

    /// How far the board is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let state = self.state.lock();
        Mark { epoch: state.epoch, revision: state.revision, place: state.last }
    }

    /// The first product after `after` by id whose place is at most `place`.
    #[must_use]
    pub fn next_product(&self, after: Option<&ProductId>, place: u64) -> Option<Told> {
        let state = self.state.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut products = state.products.range::<ProductId, _>((from, Bound::Unbounded));
        products.find(|(_, entry)| entry.place <= place).map(|(product, entry)| entry.told(product))
    }

    /// The first change after a place.
    #[must_use]
    pub fn next_change(&self, place: u64) -> Option<Told> {
        let state = self.state.lock();
        let (_, product) = state.places.range((Bound::Excluded(place), Bound::Unbounded)).next()?;
        state.products.get(product).map(|entry| entry.told(product))
    }

    /// Waits for a change after a place.
    pub async fn beyond(&self, place: u64) {
        let _ = self.last.subscribe().wait_for(|last| *last > place).await;
    }

    /// Called with the state locked, so that places are announced in order.
    fn announce(&self, last: u64) {
        self.last.send_if_modified(|known| std::mem::replace(known, last) != last);
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Notes a price and where the bucket keeps it; one that says something else moves to the end.
    fn put(&mut self, product: &ProductId, latest: Latest, kept: Option<(u64, u64)>) {
        let known = self.products.get(product);
        let same = known.is_some_and(|entry| entry.latest.same(&latest));
        let place = match known {
            Some(entry) if same => entry.place,
            _ => {
                if let Some(place) = known.map(|entry| entry.place) {
                    self.places.remove(&place);
                }
                self.last += 1;
                self.places.insert(self.last, product.clone());
                self.last
            }
        };
        let (epoch, (at, revision)) = kept.map_or((NO_EPOCH, (0, 0)), |kept| (self.epoch, kept));
        self.products.insert(product.clone(), Entry { latest, place, epoch, at, revision });
    }
}

impl Entry {
    fn told(&self, product: &ProductId) -> Told {
        Told { product: product.clone(), latest: self.latest, place: self.place, epoch: self.epoch, at: self.at }
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

    fn read(board: &Board, mut place: u64) -> Vec<(String, i64)> {
        let mut read = Vec::new();
        while let Some(told) = board.next_change(place) {
            place = told.place;
            read.push((told.product.to_string(), told.latest.price.minor));
        }
        read
    }

    #[test]
    fn a_reader_that_stood_still_for_ten_thousand_changes_meets_each_product_once() {
        let board = Board::new();
        board.begin(1);
        for change in 1..=10_000_u64 {
            let minor = i64::try_from(change).expect("small");
            board.observe(&id(change % 5), price(minor, minor, change), change);
        }
        assert_eq!(board.state.lock().places.len(), 5);
        let latest = [("p1", 9_996), ("p2", 9_997), ("p3", 9_998), ("p4", 9_999), ("p0", 10_000)];
        assert_eq!(read(&board, 0), latest.map(|(product, minor)| (product.to_owned(), minor)));
    }

    #[test]
    fn what_is_told_again_moves_nothing() {
        let board = Board::new();
        board.begin(1);
        board.observe(&id(1), price(100, 1, 1), 1);
        board.observe(&id(2), price(100, 1, 2), 2);
        let place = board.mark().place;
        board.observe(&id(1), price(100, 1, 1), 1);
        board.observe(&id(1), price(100, 2, 1), 3);
        assert_eq!(read(&board, place), []);
        assert_eq!(board.mark().revision, 3);
        assert_eq!(board.kept(1, &id(1)).expect("kept").1, 3);
    }

    #[test]
    fn a_bucket_that_lags_behind_the_database_brings_no_old_price_back() {
        let board = Board::new();
        let news = News { product: id(1), price: price(300, 3, 0).latest.price, deleted: false, version: 3 };
        board.load(&[news]);
        board.begin(1);
        board.observe(&id(1), price(200, 2, 1), 1);
        assert_eq!(read(&board, 0), [("p1".to_owned(), 300)]);
        assert_eq!(board.kept(1, &id(1)), None, "what the bucket keeps is another price");
    }

    #[test]
    fn a_price_that_was_undone_is_replaced_and_told() {
        let board = Board::new();
        board.begin(1);
        board.observe(&id(1), price(500, 5, 1), 1);
        board.observe(&id(2), price(200, 1, 2), 2);
        let place = board.mark().place;
        let now = News { product: id(1), price: price(300, 3, 0).latest.price, deleted: false, version: 3 };
        assert!(board.correct(&id(1), Some(&now)) && board.correct(&id(2), None));
        assert!(!board.correct(&id(2), None) && !board.correct(&id(3), None), "nothing of the bucket's");
        assert_eq!(read(&board, place), [("p1".to_owned(), 300), ("p2".to_owned(), 200)]);
        let made_anew = News { product: id(2), version: 1, ..now };
        board.load(&[made_anew]);
        assert_eq!(board.all()[&id(2)].seen, 1, "a product of the same name is news");
    }

    #[test]
    fn a_bucket_made_anew_changes_no_price_and_outdates_all_revisions() {
        let board = Board::new();
        board.begin(1);
        board.observe(&id(1), price(100, 1, 7), 7);
        assert!(board.is_ahead_of(1, 6) && !board.is_ahead_of(1, 7) && !board.is_ahead_of(2, 0));
        let place = board.mark().place;
        board.begin(2);
        assert_eq!(board.kept(2, &id(1)), None);
        board.observe(&id(1), price(100, 1, 1), 1);
        assert_eq!(read(&board, place), []);
        assert_eq!(board.next_change(0).map(|told| (told.epoch, told.at)), Some((2, 1)));
    }
}
