//! The book of a batch: the locked rows in memory, against which commands are decided one after the other.
//!
//! It is created with every reservation and stock row that the batch's commands may change, applies the commands in
//! message order, and finally returns the rows to write. A hot product costs one row update, however many orders of the
//! batch want it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::product::ProductId;
use super::reservation::{Command, Lines, Rejection, Reservation, State, Verdict};
use super::stock::Level;

/// A product's locked stock row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedStock {
    /// The units.
    pub level: Level,
    /// Whether the product is still in the catalogue.
    pub sellable: bool,
}

/// The locked rows, and the changes made by the commands.
#[derive(Debug)]
pub struct Book {
    now: SystemTime,
    hold: Duration,
    stock: HashMap<ProductId, LockedStock>,
    reservations: HashMap<Uuid, Reservation>,
    touched: BTreeSet<ProductId>,
    made: BTreeSet<Uuid>,
    moved: BTreeSet<Uuid>,
}

/// The rows to write, each kind sorted by its key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Stock that changed.
    pub levels: BTreeMap<ProductId, Level>,
    /// New reservations.
    pub made: Vec<Reservation>,
    /// Reservations whose state changed.
    pub moved: Vec<Reservation>,
}

impl Book {
    /// Creates the book. `now` is the database's time; new holds last for `hold`.
    #[must_use]
    pub fn open(
        now: SystemTime,
        hold: Duration,
        stock: HashMap<ProductId, LockedStock>,
        reservations: HashMap<Uuid, Reservation>,
    ) -> Self {
        Self { now, hold, stock, reservations, touched: BTreeSet::new(), made: BTreeSet::new(), moved: BTreeSet::new() }
    }

    /// Decides one command.
    pub fn apply(&mut self, command: &Command) -> Verdict {
        match command {
            Command::Reserve { order, lines } => match self.reservations.get(order) {
                Some(known) => repeat_of_reserve(known),
                None => self.reserve(*order, lines),
            },
            Command::Release { order } => self.release(*order),
            Command::Commit { order } => self.commit(*order),
        }
    }

    /// Whether a command was carried out before and gets the recorded result. A reserve after the release is refused each
    /// time.
    #[must_use]
    pub fn is_repeat(&self, command: &Command) -> bool {
        let known = self.reservations.get(&command.order()).map(|known| &known.state);
        match command {
            Command::Reserve { .. } => matches!(known, Some(State::Held | State::Committed | State::Rejected { .. })),
            Command::Release { .. } => {
                matches!(known, Some(State::Released | State::Tombstone | State::Rejected { .. }))
            }
            Command::Commit { .. } => matches!(known, Some(State::Committed)),
        }
    }

    /// The rows to write.
    #[must_use]
    pub fn close(mut self) -> Changes {
        let levels = self.touched.into_iter().filter_map(|id| self.stock.get(&id).map(|stock| (id, stock.level)));
        Changes {
            levels: levels.collect(),
            made: self.made.into_iter().filter_map(|order| self.reservations.remove(&order)).collect(),
            moved: self.moved.into_iter().filter_map(|order| self.reservations.remove(&order)).collect(),
        }
    }

    fn reserve(&mut self, order: Uuid, lines: &Lines) -> Verdict {
        let unknown = self.unfit(lines, |stock, _| stock.is_some_and(|stock| stock.sellable));
        if !unknown.is_empty() {
            return self.reject(order, Rejection::UnknownProduct, unknown);
        }
        let short = self.unfit(lines, |stock, quantity| stock.is_some_and(|s| s.level.reserve(quantity).is_some()));
        if !short.is_empty() {
            return self.reject(order, Rejection::OutOfStock, short);
        }
        self.change_levels(lines, Level::reserve);
        let expires_at = self.now + self.hold;
        let lines = lines.clone();
        self.make(Reservation { order, state: State::Held, lines, expires_at: Some(expires_at) });
        Verdict::Reserved { expires_at }
    }

    fn release(&mut self, order: Uuid) -> Verdict {
        let Some(known) = self.reservations.get(&order) else {
            self.make(Reservation { order, state: State::Tombstone, lines: Lines::none(), expires_at: None });
            return Verdict::Released { held: false };
        };
        match known.state {
            State::Held => self.end(order, State::Released, Level::release, Verdict::Released { held: true }),
            State::Released => Verdict::Released { held: true },
            State::Rejected { .. } | State::Tombstone => Verdict::Released { held: false },
            State::Committed => Verdict::Absurd("a release came after the commit"),
        }
    }

    fn commit(&mut self, order: Uuid) -> Verdict {
        match self.reservations.get(&order).map(|known| &known.state) {
            None => Verdict::TooEarly("nothing was reserved for the order yet"),
            Some(State::Held) => self.end(order, State::Committed, Level::commit, Verdict::Committed),
            Some(State::Committed) => Verdict::Committed,
            Some(State::Released) => Verdict::Absurd("a commit came after the release"),
            Some(State::Rejected { .. }) => Verdict::Absurd("a commit came although nothing was held"),
            Some(State::Tombstone) => Verdict::Absurd("a commit came after a release without a reserve"),
        }
    }

    /// Ends a hold for all of its lines, or changes nothing.
    fn end(&mut self, order: Uuid, state: State, change: fn(Level, i64) -> Option<Level>, verdict: Verdict) -> Verdict {
        let Some(mut reservation) = self.reservations.remove(&order) else {
            return Verdict::TooEarly("nothing was reserved for the order yet");
        };
        let broken = !self
            .unfit(&reservation.lines, |stock, quantity| stock.is_some_and(|s| change(s.level, quantity).is_some()))
            .is_empty();
        let verdict = if broken {
            Verdict::Absurd("the stock has fewer reserved units than the reservation")
        } else {
            self.change_levels(&reservation.lines, change);
            reservation.state = state;
            if !self.made.contains(&order) {
                self.moved.insert(order);
            }
            verdict
        };
        self.reservations.insert(order, reservation);
        verdict
    }

    /// The products of the lines that fail a check.
    fn unfit(&self, lines: &Lines, fit: impl Fn(Option<&LockedStock>, i64) -> bool) -> Vec<ProductId> {
        lines
            .iter()
            .filter(|(product, quantity)| !fit(self.stock.get(product), *quantity))
            .map(|(product, _)| product.clone())
            .collect()
    }

    /// Changes the stock of every line. The caller has checked that each line can be changed.
    fn change_levels(&mut self, lines: &Lines, change: fn(Level, i64) -> Option<Level>) {
        for (product, quantity) in lines.iter() {
            if let Some(stock) = self.stock.get_mut(product)
                && let Some(level) = change(stock.level, quantity)
            {
                stock.level = level;
                if !self.touched.contains(product) {
                    self.touched.insert(product.clone());
                }
            }
        }
    }

    fn reject(&mut self, order: Uuid, rejection: Rejection, products: Vec<ProductId>) -> Verdict {
        let state = State::Rejected { rejection, products: products.clone() };
        self.make(Reservation { order, state, lines: Lines::none(), expires_at: None });
        Verdict::Rejected { rejection, products }
    }

    fn make(&mut self, reservation: Reservation) {
        self.made.insert(reservation.order);
        self.reservations.insert(reservation.order, reservation);
    }
}

/// The result of a reserve for an order that already has a reservation.
fn repeat_of_reserve(known: &Reservation) -> Verdict {
    match (&known.state, known.expires_at) {
        (State::Held | State::Committed, Some(expires_at)) => Verdict::Reserved { expires_at },
        (State::Rejected { rejection, products }, _) => {
            Verdict::Rejected { rejection: *rejection, products: products.clone() }
        }
        (State::Released | State::Tombstone, _) => {
            Verdict::Rejected { rejection: Rejection::Released, products: Vec::new() }
        }
        (State::Held | State::Committed, None) => Verdict::Absurd("a hold has no expiry"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(900);

    fn id(id: &str) -> ProductId {
        ProductId::parse(id).expect("an id")
    }

    fn book(stock: &[(&str, i64, i64)]) -> Book {
        let locked = |on_hand, reserved| LockedStock { level: Level { on_hand, reserved }, sellable: true };
        let stock = stock.iter().map(|(product, on_hand, reserved)| (id(product), locked(*on_hand, *reserved)));
        Book::open(SystemTime::UNIX_EPOCH, HOLD, stock.collect(), HashMap::new())
    }

    fn reserve(order: u128, lines: &[(&str, i64)]) -> Command {
        let lines = Lines::read(lines.iter().copied()).expect("good lines");
        Command::Reserve { order: Uuid::from_u128(order), lines }
    }

    fn release(order: u128) -> Command {
        Command::Release { order: Uuid::from_u128(order) }
    }

    fn commit(order: u128) -> Command {
        Command::Commit { order: Uuid::from_u128(order) }
    }

    fn reserved() -> Verdict {
        Verdict::Reserved { expires_at: SystemTime::UNIX_EPOCH + HOLD }
    }

    fn rejected(rejection: Rejection, products: &[&str]) -> Verdict {
        Verdict::Rejected { rejection, products: products.iter().map(|product| id(product)).collect() }
    }

    fn level(book: &Book, product: &str) -> (i64, i64) {
        let level = book.stock[&id(product)].level;
        (level.on_hand, level.reserved)
    }

    #[test]
    fn all_lines_are_held_or_none() {
        let mut book = book(&[("a", 5, 0), ("b", 1, 0)]);
        assert_eq!(book.apply(&reserve(1, &[("a", 2), ("b", 2)])), rejected(Rejection::OutOfStock, &["b"]));
        assert_eq!(level(&book, "a"), (5, 0));
        assert_eq!(book.apply(&reserve(2, &[("a", 5), ("b", 1)])), reserved());
        let changes = book.close();
        assert_eq!(changes.levels[&id("a")], Level { on_hand: 5, reserved: 5 });
        assert_eq!(changes.levels[&id("b")], Level { on_hand: 1, reserved: 1 });
        assert_eq!(changes.made.len(), 2);
        assert!(changes.moved.is_empty());
    }

    #[test]
    fn one_unit_is_sold_to_the_first_of_a_batch() {
        let mut book = book(&[("a", 1, 0)]);
        assert_eq!(book.apply(&reserve(1, &[("a", 1)])), reserved());
        for order in 2..1_000 {
            assert_eq!(book.apply(&reserve(order, &[("a", 1)])), rejected(Rejection::OutOfStock, &["a"]));
        }
    }

    #[test]
    fn a_deleted_or_unknown_product_is_rejected_as_unknown() {
        let mut book = book(&[("a", 5, 0), ("b", 5, 0)]);
        book.stock.get_mut(&id("b")).expect("there").sellable = false;
        let verdict = book.apply(&reserve(1, &[("a", 9), ("b", 1), ("c", 1)]));
        assert_eq!(verdict, rejected(Rejection::UnknownProduct, &["b", "c"]));
    }

    #[test]
    fn a_release_before_the_reserve_leaves_a_tombstone() {
        let mut book = book(&[("a", 5, 0)]);
        assert_eq!(book.apply(&release(1)), Verdict::Released { held: false });
        assert_eq!(book.apply(&reserve(1, &[("a", 1)])), rejected(Rejection::Released, &[]));
        assert_eq!(book.apply(&release(1)), Verdict::Released { held: false });
        let changes = book.close();
        assert!(changes.levels.is_empty());
        assert_eq!(changes.made[0].state, State::Tombstone);
    }

    #[test]
    fn a_reservation_that_came_and_went_in_one_batch_is_written_once() {
        let mut book = book(&[("a", 5, 0)]);
        assert_eq!(book.apply(&reserve(1, &[("a", 2)])), reserved());
        assert_eq!(book.apply(&commit(1)), Verdict::Committed);
        assert_eq!(book.apply(&commit(1)), Verdict::Committed);
        let changes = book.close();
        assert_eq!(changes.levels[&id("a")], Level { on_hand: 3, reserved: 0 });
        assert_eq!((changes.made.len(), changes.moved.len()), (1, 0));
        assert_eq!(changes.made[0].state, State::Committed);
    }

    #[test]
    fn a_repeat_is_answered_by_what_happened() {
        let mut book = book(&[("a", 5, 0)]);
        let ask = reserve(1, &[("a", 2)]);
        assert!(!book.is_repeat(&ask) && !book.is_repeat(&release(1)) && !book.is_repeat(&commit(1)));
        assert_eq!(book.apply(&ask), reserved());
        assert!(book.is_repeat(&ask) && !book.is_repeat(&release(1)) && !book.is_repeat(&commit(1)));
        assert_eq!(book.apply(&ask), reserved());
        assert_eq!(level(&book, "a"), (5, 2));
        assert_eq!(book.apply(&release(1)), Verdict::Released { held: true });
        assert!(book.is_repeat(&release(1)));
        assert_eq!(book.apply(&release(1)), Verdict::Released { held: true });
        assert_eq!(book.apply(&ask), rejected(Rejection::Released, &[]));
        assert_eq!(level(&book, "a"), (5, 0));
    }

    #[test]
    fn what_contradicts_the_past_changes_nothing() {
        let mut book = book(&[("a", 5, 0)]);
        assert!(matches!(book.apply(&commit(1)), Verdict::TooEarly(_)));
        book.apply(&reserve(1, &[("a", 2)]));
        book.apply(&commit(1));
        assert!(matches!(book.apply(&release(1)), Verdict::Absurd(_)));
        book.apply(&reserve(2, &[("a", 1)]));
        book.apply(&release(2));
        assert!(matches!(book.apply(&commit(2)), Verdict::Absurd(_)));
        assert_eq!(level(&book, "a"), (3, 0));
    }

    #[test]
    fn a_reservation_larger_than_the_reserved_stock_is_a_dead_letter() {
        let mut book = book(&[("a", 5, 0), ("b", 5, 0)]);
        book.apply(&reserve(1, &[("a", 1), ("b", 1)]));
        book.stock.get_mut(&id("b")).expect("there").level.reserved = 0;
        assert!(matches!(book.apply(&commit(1)), Verdict::Absurd(_)));
        assert_eq!(level(&book, "a"), (5, 1));
    }
}
