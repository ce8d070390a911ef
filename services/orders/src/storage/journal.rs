//! The saga's journal: incoming and outgoing messages of an order, with the step, the time and the trace. A column of the
//! saga's row; the view `saga_journal` shows its entries as rows.

use std::collections::HashMap;

use flotilla_messaging::Event;
use uuid::Uuid;

/// Entries to append, encoded as the column has them (see migration V3), without the time, which the database adds.
#[derive(Default, Debug)]
pub struct Journal(HashMap<Uuid, Block>);

/// The entries of one order in one transaction.
#[derive(Default, Debug)]
struct Block {
    bytes: Vec<u8>,
    /// What the entries of the last group have in common, and where their number stands.
    group: Option<(Group, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Group {
    step: &'static str,
    attempt: i32,
    trace: [u8; 16],
}

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
        self.0.get(&order).map(|block| block.bytes.as_slice())
    }

    fn push(&mut self, at: At, id: Uuid, direction: Direction, kind: &str, traceparent: Option<&str>) {
        let trace = traceparent.and_then(trace_id).unwrap_or_default();
        let group = Group { step: at.step, attempt: at.attempt, trace };
        self.0.entry(at.order_id).or_default().push(group, direction, id, kind);
    }
}

impl Block {
    fn push(&mut self, group: Group, direction: Direction, id: Uuid, kind: &str) {
        let Some(count) = self.count_of(group) else { return };
        self.bytes[count] += 1;
        self.bytes.push(direction as u8);
        self.bytes.extend_from_slice(id.as_bytes());
        self.name(kind);
    }

    /// Where the number of entries of a group with room for one more stands. None if there are 255 groups: a
    /// transaction applies a few messages to an order, and the rest of so many isn't worth an error.
    fn count_of(&mut self, group: Group) -> Option<usize> {
        match self.group {
            Some((last, count)) if last == group && self.bytes[count] < u8::MAX => Some(count),
            _ => self.start(group),
        }
    }

    fn start(&mut self, group: Group) -> Option<usize> {
        if self.bytes.is_empty() {
            self.bytes.push(0);
        }
        self.bytes[0] = self.bytes[0].checked_add(1)?;
        self.bytes.extend_from_slice(&group.trace);
        self.bytes.extend_from_slice(&group.attempt.to_be_bytes());
        self.name(group.step);
        let count = self.bytes.len();
        self.bytes.push(0);
        self.group = Some((group, count));
        Some(count)
    }

    fn name(&mut self, name: &str) {
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.bytes.push(length);
        self.bytes.extend_from_slice(&name.as_bytes()[..usize::from(length)]);
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
    fn entries_are_laid_out_as_the_migration_says() {
        let order_id = Uuid::from_u128(7);
        let at = At { order_id, step: "charging", attempt: 258 };
        let mut journal = Journal::default();
        journal.came_in(at, Uuid::from_u128(1), "StockReserved", None);
        journal.came_in(at, Uuid::from_u128(2), "GiveUp", None);
        let later = At { step: "confirmed", attempt: 1, ..at };
        journal.came_in(later, Uuid::from_u128(3), "PaymentCharged", None);
        let names = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let entry = |id: u128, kind: &str| [&[0], Uuid::from_u128(id).as_bytes().as_slice(), &names(kind)].concat();
        let wanted = [
            &[2][..],
            &[0; 16],
            &[0, 0, 1, 2],
            &names("charging"),
            &[2],
            &entry(1, "StockReserved"),
            &entry(2, "GiveUp"),
            &[0; 16],
            &[0, 0, 0, 1],
            &names("confirmed"),
            &[1],
            &entry(3, "PaymentCharged"),
        ];
        assert_eq!(journal.of(order_id).unwrap(), wanted.concat());
        assert_eq!(journal.of(Uuid::nil()), None);
    }
}
