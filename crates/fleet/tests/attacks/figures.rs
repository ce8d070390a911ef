//! What honest clients experienced: latencies and failures.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;

/// The 99th percentile of fewer calls is just the slowest of them.
const TELLING: u64 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// List a page of products.
    Read,
    /// Place an order.
    Order,
    /// Watch an order until its first state.
    WatchOrder,
    /// Watch a price until it is sent.
    WatchPrice,
    /// Change a product.
    Change,
    /// List a page of products on a new connection.
    NewConnection,
    /// Log in.
    LogIn,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Order, Self::WatchOrder, Self::WatchPrice, Self::Change, Self::NewConnection, Self::LogIn];

    /// How many rounds pass from one call to the next. A log-in takes tens of milliseconds of processor time.
    pub fn rounds(self) -> u32 {
        match self {
            Self::NewConnection => 4,
            Self::LogIn => 20,
            Self::Read | Self::Order | Self::WatchOrder | Self::WatchPrice | Self::Change => 1,
        }
    }
}

/// Results of one kind of call.
pub struct Calls {
    took: Histogram<u64>,
    failed: BTreeMap<String, usize>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { took: Histogram::new(3).unwrap(), failed: BTreeMap::new() }
    }
}

impl Calls {
    pub fn note(&mut self, answer: Result<Duration, String>) {
        match answer {
            Ok(took) => self.took.record(u64::try_from(took.as_micros()).unwrap()).unwrap(),
            Err(why) => *self.failed.entry(why).or_default() += 1,
        }
    }

    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// Whether there are enough calls to compare their percentiles.
    pub fn are_telling(&self) -> bool {
        self.took.len() >= TELLING
    }

    fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.took.value_at_quantile(quantile))
    }
}

/// Results of all kinds of calls.
#[derive(Default)]
pub struct Figures(BTreeMap<Kind, Calls>);

impl Figures {
    pub fn of(&mut self, kind: Kind) -> &mut Calls {
        self.0.entry(kind).or_default()
    }

    pub fn kinds(&self) -> impl Iterator<Item = (Kind, &Calls)> {
        self.0.iter().map(|(kind, calls)| (*kind, calls))
    }

    pub fn p99(&self, kind: Kind) -> Duration {
        self.0.get(&kind).map_or(Duration::ZERO, Calls::p99)
    }

    /// The errors, with their counts.
    pub fn failures(&self) -> Vec<(Kind, &BTreeMap<String, usize>)> {
        let failed = self.kinds().filter(|(_, calls)| !calls.failed.is_empty());
        failed.map(|(kind, calls)| (kind, &calls.failed)).collect()
    }
}

/// The figures as a table.
pub fn table(attack: &str, told: &str, figures: &[(&str, &Figures)]) -> String {
    let mut text = format!("\n{attack}: {told}\n");
    let mut row = |cells: [String; 6]| {
        let [kind, when, answered, failed, p50, p99] = cells;
        writeln!(text, "  {kind:<13} {when:<7} {answered:>8} {failed:>7} {p50:>9} {p99:>9}").unwrap();
    };
    row(["kind", "", "answered", "failed", "p50 ms", "p99 ms"].map(str::to_owned));
    for kind in Kind::ALL {
        for (when, figures) in figures {
            let Some(calls) = figures.0.get(&kind) else { continue };
            let ms = |duration: Duration| format!("{:.1}", duration.as_secs_f64() * 1000.0);
            let failed: usize = calls.failed.values().sum();
            let (p50, p99) = (ms(calls.quantile(0.5)), ms(calls.p99()));
            row([format!("{kind:?}"), (*when).to_owned(), calls.took.len().to_string(), failed.to_string(), p50, p99]);
        }
    }
    text
}
