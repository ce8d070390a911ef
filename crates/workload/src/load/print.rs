//! The report of `fleet load` on standard output.

use flotilla_terminal::{Table, bold, good, mib};

use super::{Full, Measured, counts::Counts, limits::Limits};
use crate::fleet::Fleet;

/// Prints throughput, latencies, and what an order costs; `bare` is the rate of bare PostgreSQL.
pub(super) fn report(fleet: &Fleet, full: &Full, easy: &Measured, bare: Option<f64>, limits: &Limits) {
    let Full { measured, counts, rows, .. } = full;
    println!("{}", bold("full load (open loop, gRPC, orders of two lines)"));
    println!("  settled: {} orders/s", good(&format!("{:.0}", measured.outcomes.per_second)));
    if let Some(bare) = bare {
        println!(
            "  bare PostgreSQL (bench/baseline.sql): {bare:.0} transactions/s; ratio {}",
            good(&format!("{:.2}", measured.outcomes.per_second / bare))
        );
    }
    latency(measured);
    println!("{}", bold("at 70% of it"));
    latency(easy);
    println!("{}", bold("processes at full load"));
    processes(fleet, measured);
    println!("{}", bold("what an order costs the databases at full load"));
    print!("{}", counts.render(limits));
    println!("{}", bold("row writes of an order"));
    print!("{}", rows.render(measured.outcomes.all()));
}

/// Prints each limit that is exceeded; whether there is one.
pub(super) fn exceeded(limits: &Limits, counts: &Counts) -> bool {
    let exceeded = limits.exceeded(counts);
    for sentence in &exceeded {
        println!("{sentence}");
    }
    !exceeded.is_empty()
}

fn processes(fleet: &Fleet, measured: &Measured) {
    let mut table = Table::new(&["process", ">CPU us/order", ">resident", ">proportional", ">ready in"]);
    for process in &measured.usage.processes {
        let start = fleet.members.iter().find(|member| member.name == process.name).and_then(|member| member.start_ms);
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
