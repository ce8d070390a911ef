//! Property tests of the ledger with random traffic: top-ups, charges and refunds in any order, repeated, and split
//! into batches anywhere.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use flotilla_money::{Amount, Currency};
use flotilla_proto::payments::v1::PaymentDecline;
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::{
    Account, Book, Charge, Charged, Entries, LedgerAccount, Refunded, TopUp, TopUpRefusal, Transfer, TransferKind,
};

const CUSTOMERS: u8 = 3;
const ORDERS: u8 = 12;

#[derive(Clone, Debug)]
enum Operation {
    TopUp { customer: u8, key: u8, minor: i64 },
    Charge { order: u8, minor: i64, foreign: bool },
    Refund { order: u8 },
    Close { customer: u8 },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..CUSTOMERS, 0..20_u8, 1..200_i64)
            .prop_map(|(customer, key, minor)| Operation::TopUp { customer, key, minor }),
        8 => (0..ORDERS, 0..120_i64, proptest::bool::weighted(0.1))
            .prop_map(|(order, minor, foreign)| Operation::Charge { order, minor, foreign }),
        4 => (0..ORDERS).prop_map(|order| Operation::Refund { order }),
        1 => (0..CUSTOMERS).prop_map(|customer| Operation::Close { customer }),
    ]
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a known currency")
}

fn customer_id(index: u8) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(index))
}

/// An order always belongs to the same customer.
fn order_id(order: u8) -> (Uuid, Uuid) {
    (Uuid::from_u128(0x2000 + u128::from(order)), customer_id(order % CUSTOMERS))
}

/// The rows that the tables would contain.
struct Tables {
    accounts: BTreeMap<Uuid, Account>,
    charges: BTreeMap<Uuid, Charge>,
    transfers: Vec<Transfer>,
    next_id: Cell<u128>,
}

impl Tables {
    fn new() -> Self {
        let account = |customer| Account { customer, currency: currency("USD"), balance_minor: 0, closed: false };
        // The last customer's account never opens.
        let accounts = (0..CUSTOMERS - 1).map(customer_id).map(|id| (id, account(id))).collect();
        Self { accounts, charges: BTreeMap::new(), transfers: Vec::new(), next_id: Cell::new(1) }
    }

    fn next_id(&self) -> Uuid {
        self.next_id.set(self.next_id.get() + 1);
        Uuid::from_u128(self.next_id.get())
    }

    fn top_ups(&self) -> Vec<TopUp> {
        let known = self.transfers.iter().filter(|transfer| transfer.kind == TransferKind::TopUp);
        known
            .map(|transfer| TopUp {
                customer: transfer.customer,
                request_id: transfer.request_id.clone().expect("a top-up has its key"),
                amount: transfer.amount,
            })
            .collect()
    }

    fn write(&mut self, entries: Entries) {
        for (customer, balance) in entries.balances {
            self.accounts.get_mut(&customer).expect("only accounts that exist are written").balance_minor = balance;
        }
        for charge in entries.opened {
            assert!(self.charges.insert(charge.order, charge).is_none(), "an order has one record");
        }
        for charge in entries.changed {
            assert!(self.charges.insert(charge.order, charge).is_some(), "a changed record was there");
        }
        self.transfers.extend(entries.transfers);
    }
}

/// The replies about an order.
#[derive(Default)]
struct Answers {
    charged: HashMap<Uuid, Vec<Charged>>,
    refunded: BTreeMap<Uuid, Vec<Refunded>>,
    added: HashMap<(Uuid, u8), i64>,
}

fn run(tables: &mut Tables, answers: &mut Answers, batch: &[Operation]) {
    let entries = {
        let ids = || tables.next_id();
        let mut book =
            Book::open(&ids, tables.accounts.values().cloned(), tables.charges.values().cloned(), tables.top_ups());
        for operation in batch {
            apply(&mut book, answers, operation);
        }
        book.close()
    };
    tables.write(entries);
    for operation in batch {
        if let Operation::Close { customer } = operation
            && let Some(account) = tables.accounts.get_mut(&customer_id(*customer))
        {
            account.closed = true;
        }
    }
}

fn apply(book: &mut Book<'_>, answers: &mut Answers, operation: &Operation) {
    match *operation {
        Operation::TopUp { customer, key, minor } => {
            let amount = Amount { minor, currency: currency("USD") };
            let added = book.top_up(TopUp { customer: customer_id(customer), request_id: key.to_string(), amount });
            let earlier = answers.added.get(&(customer_id(customer), key)).copied();
            match (added, earlier) {
                (Ok(_), None) => {
                    answers.added.insert((customer_id(customer), key), minor);
                }
                (Ok(_), Some(earlier)) => assert_eq!(earlier, minor, "a repeat is the same"),
                (Err(TopUpRefusal::KeyReused), Some(earlier)) => assert_ne!(earlier, minor),
                (Err(refusal), earlier) => {
                    assert!(matches!(refusal, TopUpRefusal::UnknownAccount | TopUpRefusal::Closed));
                    assert_eq!(earlier, None, "a top-up that counted is not refused later");
                }
            }
        }
        Operation::Charge { order, minor, foreign } => {
            let (order, customer) = order_id(order);
            let amount = Amount { minor, currency: currency(if foreign { "EUR" } else { "USD" }) };
            let answer = book.charge(order, customer, amount);
            if answers.refunded.contains_key(&order) {
                assert!(matches!(answer, Charged::Declined(_)), "never charged after the refund");
            }
            answers.charged.entry(order).or_default().push(answer);
        }
        Operation::Refund { order } => {
            let (order, customer) = order_id(order);
            let answer = book.refund(order, customer).expect("balances are small and customers right");
            answers.refunded.entry(order).or_default().push(answer);
        }
        Operation::Close { .. } => {}
    }
}

fn check(tables: &Tables, answers: &Answers) {
    let mut sums: BTreeMap<LedgerAccount, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for transfer in &tables.transfers {
        let postings = transfer.postings();
        assert_eq!(postings.iter().map(|posting| posting.amount_minor).sum::<i64>(), 0);
        if let Some(order) = transfer.order {
            assert!(seen.insert((order, transfer.kind)), "one charge and one refund for an order");
        }
        for posting in postings {
            *sums.entry(posting.account).or_default() += posting.amount_minor;
        }
    }
    assert_eq!(sums.values().sum::<i64>(), 0);
    for account in tables.accounts.values() {
        assert!(account.balance_minor >= 0);
        let posted = sums.get(&LedgerAccount::Customer(account.customer)).copied().unwrap_or_default();
        assert_eq!(account.balance_minor, posted, "the balance is the sum of its postings");
    }
    for (order, charged) in &answers.charged {
        let paid: BTreeSet<i64> = charged
            .iter()
            .filter_map(|answer| match answer {
                Charged::Paid(amount) => Some(amount.minor),
                Charged::Declined(_) => None,
            })
            .collect();
        assert!(paid.len() <= 1, "each repeat has the same amount");
        let returned: BTreeSet<Option<i64>> = answers
            .refunded
            .get(order)
            .into_iter()
            .flatten()
            .map(|answer| answer.returned.map(|amount| amount.minor))
            .collect();
        assert!(returned.len() <= 1, "each repeat of a refund has the same amount");
        if let Some(returned) = returned.first() {
            assert_eq!(*returned, paid.first().copied(), "what was charged comes back, and nothing else");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_whatever_comes_in_whatever_order(
        operations in vec(operation(), 0..120),
        cut in 1..40_usize,
    ) {
        let mut tables = Tables::new();
        let mut answers = Answers::default();
        for batch in operations.chunks(cut) {
            run(&mut tables, &mut answers, batch);
            check(&tables, &answers);
        }
    }

    #[test]
    fn a_batch_decides_as_single_commands_do(operations in vec(operation(), 0..60)) {
        let operations: Vec<_> =
            operations.into_iter().filter(|operation| !matches!(operation, Operation::Close { .. })).collect();
        let (mut together, mut alone) = (Tables::new(), Tables::new());
        run(&mut together, &mut Answers::default(), &operations);
        let mut answers = Answers::default();
        for operation in &operations {
            run(&mut alone, &mut answers, std::slice::from_ref(operation));
        }
        prop_assert_eq!(together.accounts, alone.accounts);
        prop_assert_eq!(together.charges, alone.charges);
        prop_assert_eq!(together.transfers, alone.transfers);
    }
}

#[test]
fn an_order_before_its_account_is_declined_for_want_of_money() {
    let ids = || Uuid::nil();
    let mut book = Book::open(&ids, [], [], []);
    let amount = Amount { minor: 1, currency: currency("USD") };
    let (order, customer) = order_id(0);
    assert_eq!(book.charge(order, customer, amount), Charged::Declined(PaymentDecline::InsufficientFunds));
    let entries = book.close();
    assert!(entries.transfers.is_empty() && entries.balances.is_empty());
    assert_eq!(entries.opened.len(), 1);
}

#[test]
fn a_charge_that_is_declined_from_outside_takes_nothing_and_stays_declined() {
    let ids = || Uuid::nil();
    let usd = currency("USD");
    let (order, customer) = order_id(0);
    let account = Account { customer, currency: usd, balance_minor: 10, closed: false };
    let amount = Amount { minor: 10, currency: usd };
    let mut book = Book::open(&ids, [account], [], []);
    assert_eq!(
        book.decline(order, customer, amount, PaymentDecline::Refused),
        Charged::Declined(PaymentDecline::Refused)
    );
    assert_eq!(book.charge(order, customer, amount), Charged::Declined(PaymentDecline::Refused));
    assert_eq!(book.refund(order, customer).map(|refunded| refunded.returned), Ok(None));
    let (paid, _) = order_id(1);
    assert_eq!(book.charge(paid, customer, amount), Charged::Paid(amount));
    assert_eq!(book.decline(paid, customer, amount, PaymentDecline::Refused), Charged::Paid(amount), "it is paid");
    assert_eq!(book.close().balances, [(customer, 0)]);
}

#[test]
fn a_refund_that_names_another_customer_is_refused_and_moves_nothing() {
    let ids = || Uuid::nil();
    let usd = currency("USD");
    let account = |customer| Account { customer, currency: usd, balance_minor: 10, closed: false };
    let mut book = Book::open(&ids, [account(customer_id(0)), account(customer_id(1))], [], []);
    let (order, customer) = order_id(0);
    assert_eq!(
        book.charge(order, customer, Amount { minor: 10, currency: usd }),
        Charged::Paid(Amount { minor: 10, currency: usd })
    );
    assert_eq!(book.refund(order, customer_id(1)), Err(super::BadRefund::OtherCustomer));
    let entries = book.close();
    assert_eq!(entries.balances, [(customer, 0)]);
}

#[test]
fn a_balance_has_a_ceiling_far_below_64_bits() {
    let ids = || Uuid::nil();
    let usd = currency("USD");
    let customer = customer_id(0);
    let account = Account { customer, currency: usd, balance_minor: super::MAX_BALANCE_MINOR - 5, closed: false };
    let mut book = Book::open(&ids, [account], [], []);
    let mut add = |key: &str, minor| {
        let amount = Amount { minor, currency: usd };
        book.top_up(TopUp { customer, request_id: key.to_owned(), amount }).map(|account| account.balance_minor)
    };
    assert_eq!(add("a", i64::MAX), Err(TopUpRefusal::TooLarge));
    assert_eq!(add("a", 6), Err(TopUpRefusal::TooLarge));
    assert_eq!(add("a", 5), Ok(super::MAX_BALANCE_MINOR), "a refused top-up doesn't burn its key");
}
