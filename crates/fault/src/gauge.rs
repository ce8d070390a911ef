//! The metric `flotilla_fault_active{fault}`: 1 while a fault is on, 0 for the other faults that this service supports.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::fault::Fault;
use crate::switches::Faults;

/// Reads the switches at each scrape, so that a fault that has ended is never shown as on.
pub(crate) struct ActiveFaults {
    faults: Faults,
    gauge: IntGaugeVec,
}

impl ActiveFaults {
    pub(crate) fn new(faults: Faults) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("flotilla_fault_active", "1 while a fault is switched on in this process for practice");
        Ok(Self { faults, gauge: IntGaugeVec::new(opts, &["fault"])? })
    }
}

impl Collector for ActiveFaults {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for fault in Fault::ALL.into_iter().filter(|fault| self.faults.is_supported(*fault)) {
            let on = self.faults.active(fault).is_some();
            self.gauge.with_label_values(&[fault.name()]).set(i64::from(on));
        }
        self.gauge.collect()
    }
}
