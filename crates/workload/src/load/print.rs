//! The report of `fleet load` on standard output.

use flotilla_terminal::{Table, bold, good, mib};

use super::{
    bench::{Full, Measured, Round},
    counts::Counts,
    limits::Limits,
    report,
    rest::Rest,
};
use crate::fleet::Fleet;

/// Prints throughput, latencies, and what an order costs.
pub(super) fn report(fleet: &Fleet, rounds: &[Round], easy: &Measured, alone_ms: [f64; 3], limits: &Limits) {
    let Full { measured, counts, rows, .. } = &report::median(rounds).full;
    println!("{}", bold("full load (open loop, gRPC)"));
    print!("{}", rates(rounds));
    println!("  settled: {} orders/s", good(&format!("{:.0}", measured.outcomes.per_second)));
    latency(measured);
    println!("{}", bold("at 70% of it"));
    latency(easy);
    let [half, ninety, ninety_nine] = alone_ms;
    println!("{}", bold("one order after the other"));
    println!("  call to confirmed: p50 {half:.1} ms, p90 {ninety:.1} ms, p99 {ninety_nine:.1} ms");
    println!("{}", bold("processes at full load"));
    processes(fleet, measured);
    println!("{}", bold("what an order costs the databases at full load"));
    print!("{}", counts.render(limits));
    println!("{}", bold("row writes of an order"));
    print!("{}", rows.render(measured.outcomes.all()));
}

/// Prints what REST alone does.
pub(super) fn rest(rest: Option<&Rest>) {
    match rest {
        None => println!("SKIPPED REST: the measurement works only without TLS"),
        Some(rest) => println!(
            "REST: {:.0} orders/s accepted over {} connections, p50 {:.1} ms, p99 {:.1} ms",
            rest.per_second, rest.connections, rest.p50_ms, rest.p99_ms
        ),
    }
}

/// Prints each limit that is exceeded; whether there is one.
pub(super) fn exceeded(limits: &Limits, counts: &Counts) -> bool {
    let exceeded = limits.exceeded(counts);
    for sentence in &exceeded {
        println!("{sentence}");
    }
    !exceeded.is_empty()
}

/// The rates of all rounds; the CPU of others tells how quiet the machine was.
fn rates(rounds: &[Round]) -> String {
    let mut table =
        Table::new(&["round", ">bare PostgreSQL/s", ">others' CPU", ">settled orders/s", ">others' CPU", ">ratio"]);
    for (number, round) in rounds.iter().enumerate() {
        let bare = |show: fn(&super::bench::Bare) -> String| round.bare.as_ref().map(show).unwrap_or_default();
        table.row([
            (number + 1).to_string(),
            bare(|bare| format!("{:.0}", bare.per_second)),
            bare(|bare| format!("{:.0}%", bare.usage.foreign_percent)),
            format!("{:.0}", round.full.measured.outcomes.per_second),
            format!("{:.0}%", round.full.measured.usage.foreign_percent),
            round.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn processes(fleet: &Fleet, measured: &Measured) {
    let mut table = Table::new(&["process", ">CPU us/order", ">resident", ">proportional", ">ready in"]);
    for process in &measured.usage.processes {
        let start =
            fleet.members.iter().find(|member| member.process() == process.name).and_then(|member| member.start_ms);
        table.row([
            process.name.clone(),
            format!("{:.0}", process.cpu_us_per_order),
            mib(process.memory.resident),
            mib(process.memory.proportional),
            start.map(|ms| format!("{ms} ms")).unwrap_or_default(),
        ]);
    }
    print!("{}", table.render());
    let services = measured.usage.services();
    println!("services together: {} resident, {} proportional", mib(services.resident), mib(services.proportional));
    println!("CPU of others on this machine meanwhile: {:.0}% of one core", measured.usage.foreign_percent);
}

fn latency(measured: &Measured) {
    let [half, ninety, ninety_nine, longest] = measured.outcomes.latency_ms;
    let [accept_half, accept_ninety_nine, accept_longest] = measured.accept_ms;
    println!(
        "  accepted to settled: p50 {half:.1} ms, p90 {ninety:.1} ms, p99 {ninety_nine:.1} ms, longest {longest:.1} ms"
    );
    println!(
        "  due to accepted: p50 {accept_half:.1} ms, p99 {accept_ninety_nine:.1} ms, longest {accept_longest:.1} ms; {} refused",
        measured.refused
    );
}
