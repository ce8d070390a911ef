//! A batch's reservations and stock: two statements lock its rows and three write them, however many commands the batch
//! has.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use flotilla_postgres::{Error, ErrorKind, Row, Tx, array_literal};
use futures::future::{try_join, try_join3};
use uuid::Uuid;

use crate::domain::book::{Book, Changes, LockedStock};
use crate::domain::product::ProductId;
use crate::domain::reservation::{Command, Lines, Rejection, Reservation, State};
use crate::domain::stock::Level;

/// Locks the rows that the commands may change: reservations before stock, each in the order of their keys.
///
/// # Errors
/// The database's error, or an invalid row.
pub async fn open_book(tx: &Tx, commands: &[Command], hold: Duration) -> Result<Book, Error> {
    let orders: Vec<Uuid> = commands.iter().map(Command::order).collect::<BTreeSet<_>>().into_iter().collect();
    let (rows, clock) = try_join(
        tx.query(include_str!("../../queries/lock_reservations.sql"), &[&orders]),
        tx.query_one(include_str!("../../queries/database_time.sql"), &[]),
    )
    .await?;
    let mut reservations = HashMap::with_capacity(orders.len());
    for row in &rows {
        let reservation = read_reservation(row)?;
        reservations.insert(reservation.order, reservation);
    }
    let stock = lock_stock(tx, &wanted(commands, &reservations)).await?;
    let now: SystemTime = clock.get("now")?;
    Ok(Book::open(now, hold, stock, reservations))
}

/// The products whose stock the commands may change, in order.
fn wanted<'a>(commands: &'a [Command], reservations: &'a HashMap<Uuid, Reservation>) -> Vec<&'a str> {
    let mut products = BTreeSet::new();
    for command in commands {
        match (command, reservations.get(&command.order())) {
            (Command::Reserve { lines, .. }, None) => products.extend(lines.products().map(ProductId::as_str)),
            (Command::Release { .. } | Command::Commit { .. }, Some(Reservation { state: State::Held, lines, .. })) => {
                products.extend(lines.products().map(ProductId::as_str));
            }
            _ => {}
        }
    }
    products.into_iter().collect()
}

async fn lock_stock(tx: &Tx, products: &[&str]) -> Result<HashMap<ProductId, LockedStock>, Error> {
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx.query(include_str!("../../queries/lock_stock.sql"), &[&products]).await?;
    let mut stock = HashMap::with_capacity(rows.len());
    for row in &rows {
        let level = Level { on_hand: row.get("on_hand")?, reserved: row.get("reserved")? };
        stock.insert(product_id(row.get("product_id")?)?, LockedStock { level, sellable: row.get("sellable")? });
    }
    Ok(stock)
}

/// Writes the changes of the batch.
///
/// # Errors
/// The database's error; [`ErrorKind::Conflict`] if another batch has inserted one of the reservations meanwhile: then
/// the whole batch must be retried.
pub async fn write_changes(tx: &Tx, changes: &Changes) -> Result<(), Error> {
    try_join3(insert(tx, &changes.made), move_on(tx, &changes.moved), write_levels(tx, changes)).await?;
    Ok(())
}

async fn write_levels(tx: &Tx, changes: &Changes) -> Result<(), Error> {
    if changes.levels.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = changes.levels.keys().map(ProductId::as_str).collect();
    let on_hand: Vec<i64> = changes.levels.values().map(|level| level.on_hand).collect();
    let reserved: Vec<i64> = changes.levels.values().map(|level| level.reserved).collect();
    tx.execute(include_str!("../../queries/write_stock.sql"), &[&ids, &on_hand, &reserved]).await?;
    Ok(())
}

async fn move_on(tx: &Tx, moved: &[Reservation]) -> Result<(), Error> {
    if moved.is_empty() {
        return Ok(());
    }
    let orders: Vec<Uuid> = moved.iter().map(|reservation| reservation.order).collect();
    let states: Vec<&str> = moved.iter().map(|reservation| state_name(&reservation.state)).collect();
    tx.execute(include_str!("../../queries/move_reservations.sql"), &[&orders, &states]).await?;
    Ok(())
}

async fn insert(tx: &Tx, made: &[Reservation]) -> Result<(), Error> {
    if made.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for reservation in made {
        columns.push(reservation);
    }
    let Columns { orders, states, products, quantities, rejections, short, expiries } = &columns;
    let inserted = tx
        .execute(
            include_str!("../../queries/insert_reservations.sql"),
            &[orders, states, products, quantities, rejections, short, expiries],
        )
        .await?;
    if inserted == made.len() as u64 {
        return Ok(());
    }
    // There was no row to lock when the book was created, so another replica may have inserted one.
    Err(Error::new(ErrorKind::Conflict, "another batch reserved for the same order"))
}

#[derive(Default)]
struct Columns {
    orders: Vec<Uuid>,
    states: Vec<&'static str>,
    products: Vec<String>,
    quantities: Vec<String>,
    rejections: Vec<Option<&'static str>>,
    short: Vec<Option<String>>,
    expiries: Vec<Option<SystemTime>>,
}

impl Columns {
    fn push(&mut self, reservation: &Reservation) {
        self.orders.push(reservation.order);
        self.states.push(state_name(&reservation.state));
        self.products.push(array_literal(reservation.lines.products()));
        self.quantities.push(array_literal(reservation.lines.iter().map(|(_, quantity)| quantity)));
        let (rejection, short) = match &reservation.state {
            State::Rejected { rejection, products } => (rejection_name(*rejection), Some(array_literal(products))),
            _ => (None, None),
        };
        self.rejections.push(rejection);
        self.short.push(short);
        self.expiries.push(reservation.expires_at);
    }
}

fn state_name(state: &State) -> &'static str {
    match state {
        State::Held => "held",
        State::Rejected { .. } => "rejected",
        State::Released => "released",
        State::Committed => "committed",
        State::Tombstone => "tombstone",
    }
}

fn rejection_name(rejection: Rejection) -> Option<&'static str> {
    match rejection {
        Rejection::OutOfStock => Some("out_of_stock"),
        Rejection::UnknownProduct => Some("unknown_product"),
        // Derived from a tombstone or a released hold; never stored.
        Rejection::Released => None,
    }
}

fn read_reservation(row: &Row) -> Result<Reservation, Error> {
    let products: Vec<&str> = row.get("product_ids")?;
    let quantities: Vec<i64> = row.get("quantities")?;
    let lines = if products.is_empty() {
        Lines::none()
    } else {
        Lines::read(products.into_iter().zip(quantities)).map_err(|fault| broken(&fault.to_string()))?
    };
    let state = match row.get("state")? {
        "held" => State::Held,
        "released" => State::Released,
        "committed" => State::Committed,
        "tombstone" => State::Tombstone,
        "rejected" => State::Rejected {
            rejection: match row.get("rejection")? {
                Some("out_of_stock") => Rejection::OutOfStock,
                Some("unknown_product") => Rejection::UnknownProduct,
                other => return Err(broken(&format!("rejection {other:?}"))),
            },
            products: row
                .get::<Option<Vec<&str>>>("short_ids")?
                .unwrap_or_default()
                .into_iter()
                .map(product_id)
                .collect::<Result<_, _>>()?,
        },
        other => return Err(broken(&format!("state {other:?}"))),
    };
    Ok(Reservation { order: row.get("order_id")?, state, lines, expires_at: row.get("expires_at")? })
}

fn product_id(id: &str) -> Result<ProductId, Error> {
    ProductId::parse(id).ok_or_else(|| broken("product id"))
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("a row of reservations or stock makes no sense: {what}"))
}
