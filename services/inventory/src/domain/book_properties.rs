//! Property tests with random commands on a few products, in batches, with restarts between them: stock is never
//! oversold and always balances with the open holds.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use uuid::Uuid;

use super::book::{Book, LockedStock};
use super::product::ProductId;
use super::reservation::{Command, Lines, Reservation, State, Verdict};
use super::stock::Level;

const PRODUCTS: [&str; 3] = ["a", "b", "c"];
const ORDERS: u128 = 12;

#[derive(Debug, Clone)]
enum Step {
    Command(Command),
    Adjust(usize, i64),
}

/// The rows that the database would have.
#[derive(Default)]
struct World {
    stock: HashMap<ProductId, LockedStock>,
    reservations: HashMap<Uuid, Reservation>,
    adjusted: HashMap<ProductId, i64>,
}

fn id(product: usize) -> ProductId {
    ProductId::parse(PRODUCTS[product]).expect("an id")
}

fn step() -> impl Strategy<Value = Step> {
    let order = (0..ORDERS).prop_map(Uuid::from_u128);
    let lines = prop::collection::vec((0..PRODUCTS.len(), 1_i64..4), 1..4);
    prop_oneof![
        4 => (order.clone(), lines).prop_map(|(order, lines)| {
            let lines = Lines::read(lines.into_iter().map(|(product, quantity)| (PRODUCTS[product], quantity)));
            Step::Command(Command::Reserve { order, lines: lines.expect("good lines") })
        }),
        2 => order.clone().prop_map(|order| Step::Command(Command::Release { order })),
        2 => order.prop_map(|order| Step::Command(Command::Commit { order })),
        1 => (0..PRODUCTS.len(), -4_i64..8).prop_map(|(product, delta)| Step::Adjust(product, delta)),
    ]
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        for product in 0..PRODUCTS.len() {
            world.stock.insert(id(product), LockedStock { level: Level::default(), sellable: true });
        }
        world
    }

    fn adjust(&mut self, product: usize, delta: i64) {
        let stock = self.stock.get_mut(&id(product)).expect("a stock");
        if let Ok(level) = stock.level.adjust(delta) {
            stock.level = level;
            *self.adjusted.entry(id(product)).or_default() += delta;
        }
    }

    fn run(&mut self, commands: &[Command]) -> Vec<Verdict> {
        let now = SystemTime::UNIX_EPOCH;
        let mut book = Book::open(now, Duration::from_secs(9), self.stock.clone(), self.reservations.clone());
        let verdicts = commands.iter().map(|command| book.apply(command)).collect();
        let changes = book.close();
        for (product, level) in changes.levels {
            self.stock.get_mut(&product).expect("a stock").level = level;
        }
        for made in changes.made {
            assert!(self.reservations.insert(made.order, made).is_none(), "a reservation was made twice");
        }
        for moved in changes.moved {
            assert!(self.reservations.insert(moved.order, moved).is_some(), "a reservation moved that wasn't there");
        }
        verdicts
    }

    fn check(&self) {
        for (product, stock) in &self.stock {
            let sum = |wanted: &State| -> i64 {
                let of = |r: &Reservation| r.lines.iter().filter(|(id, _)| *id == product).map(|(_, q)| q).sum::<i64>();
                self.reservations.values().filter(|r| r.state == *wanted).map(of).sum()
            };
            let Level { on_hand, reserved } = stock.level;
            let adjusted = self.adjusted.get(product).copied().unwrap_or_default();
            assert!(0 <= reserved && reserved <= on_hand, "{product} is oversold: {reserved} of {on_hand}");
            assert_eq!(reserved, sum(&State::Held), "reserved units of {product} are the open holds");
            assert_eq!(adjusted, on_hand + sum(&State::Committed), "units of {product} are on hand or shipped");
        }
    }
}

proptest! {
    #[test]
    fn stock_is_never_oversold_and_always_balances(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..12)
    ) {
        let mut world = World::new();
        for product in 0..PRODUCTS.len() {
            world.adjust(product, 5);
        }
        for batch in batches {
            let mut commands = Vec::new();
            for step in batch {
                match step {
                    Step::Command(command) => commands.push(command),
                    Step::Adjust(product, delta) => world.adjust(product, delta),
                }
            }
            world.run(&commands);
            world.check();
        }
        let all: Vec<_> = (0..ORDERS).map(|order| Command::Release { order: Uuid::from_u128(order) }).collect();
        world.run(&all);
        world.check();
        prop_assert!(world.stock.values().all(|stock| stock.level.reserved == 0), "nothing stays held");
    }

    #[test]
    fn batches_decide_as_single_commands_do(steps in prop::collection::vec(step(), 1..40)) {
        let commands: Vec<_> = steps
            .into_iter()
            .filter_map(|step| match step { Step::Command(command) => Some(command), Step::Adjust(..) => None })
            .collect();
        let (mut together, mut single) = (World::new(), World::new());
        for product in 0..PRODUCTS.len() {
            together.adjust(product, 6);
            single.adjust(product, 6);
        }
        let verdicts = together.run(&commands);
        let one_by_one: Vec<_> = commands.iter().flat_map(|command| single.run(std::slice::from_ref(command))).collect();
        prop_assert_eq!(verdicts, one_by_one);
        prop_assert_eq!(together.stock, single.stock);
        prop_assert_eq!(together.reservations, single.reservations);
    }
}
