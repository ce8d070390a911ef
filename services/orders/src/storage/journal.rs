//! The saga's journal: incoming and outgoing messages of an order, with the step, the time and the trace. A column of the
//! saga's row; the view `saga_journal` shows its entries as rows.

use std::collections::HashMap;

use flotilla_messaging::Event;
use uuid::Uuid;

/// Entries to append, encoded as the column has them (see migration V3), without the time, which the database adds.
#[derive(Default, Debug)]
pub struct Journal(HashMap<Uuid, Vec<u8>>);

/// The state of an order at a journal entry.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The order.
    pub order_id: Uuid,
    /// The state's name.
    pub step: &'static str,
    /// How often the step was sent.
    pub attempt: i32,
}

#[derive(Clone, Copy)]
enum Direction {
    In = 0,
    Out = 1,
}

impl Journal {
    /// Records an incoming message: a reply, or a decision of this service with its own id.
    pub fn came_in(&mut self, at: At, id: Uuid, kind: &str, traceparent: Option<&str>) {
        self.push(at, id, Direction::In, kind, traceparent);
    }

    /// Records an outgoing message.
    pub fn goes_out(&mut self, at: At, event: &Event) {
        let kind = event.kind.rsplit('.').next().unwrap_or(&event.kind);
        self.push(at, event.id, Direction::Out, kind, event.traceparent.as_deref());
    }

    /// The encoded entries of an order, if there are any.
    #[must_use]
    pub fn of(&self, order: Uuid) -> Option<&[u8]> {
        self.0.get(&order).map(Vec::as_slice)
    }

    fn push(&mut self, at: At, id: Uuid, direction: Direction, kind: &str, traceparent: Option<&str>) {
        let block = self.0.entry(at.order_id).or_insert_with(|| vec![0, 0]);
        let entries = u16::from_be_bytes([block[0], block[1]]);
        // A transaction applies a few messages to an order; the rest of thousands is not worth an error.
        let Some(entries) = entries.checked_add(1) else { return };
        block[..2].copy_from_slice(&entries.to_be_bytes());
        block.push(direction as u8);
        block.extend_from_slice(&at.attempt.to_be_bytes());
        block.extend_from_slice(id.as_bytes());
        block.extend_from_slice(&traceparent.and_then(trace_id).unwrap_or_default());
        for name in [at.step, kind] {
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            block.push(length);
            block.extend_from_slice(&name.as_bytes()[..usize::from(length)]);
        }
    }
}

/// The trace's id in a W3C `traceparent`.
fn trace_id(traceparent: &str) -> Option<[u8; 16]> {
    let id = traceparent.split('-').nth(1)?;
    let is_hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(id, 16).ok().filter(|_| is_hex).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_the_second_part_of_its_parent() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{id}-00f067aa0ba902b7-01");
        assert_eq!(trace_id(&parent).map(u128::from_be_bytes), u128::from_str_radix(id, 16).ok());
        assert_eq!(trace_id("rubbish"), None);
        assert_eq!(trace_id("00-short-1-01"), None);
        assert_eq!(trace_id(&format!("00-+{}-00f067aa0ba902b7-01", &id[1..])), None);
    }

    #[test]
    fn entries_of_an_order_are_counted_and_laid_out_as_the_migration_says() {
        let order_id = Uuid::from_u128(7);
        let at = At { order_id, step: "charging", attempt: 258 };
        let mut journal = Journal::default();
        journal.came_in(at, Uuid::from_u128(1), "StockReserved", None);
        journal.came_in(at, Uuid::from_u128(2), "GiveUp", None);
        let block = journal.of(order_id).unwrap();
        assert_eq!(block[..7], [0, 2, 0, 0, 0, 1, 2]);
        assert_eq!(block[7..23], Uuid::from_u128(1).into_bytes());
        assert_eq!(block[23..39], [0; 16]);
        assert_eq!(block[39..62], *b"\x08charging\x0dStockReserved");
        assert_eq!(block.len(), 2 + 60 + 53);
        assert_eq!(journal.of(Uuid::nil()), None);
    }
}
