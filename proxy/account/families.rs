//! Metrics that are made for one scrape.

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Result};

/// The same values with one more label.
pub(super) fn labelled<'scrape>(label: &'scrape str, values: Values<'scrape>) -> Values<'scrape> {
    let with_label = |(mut labels, value): (Vec<&'scrape str>, f64)| {
        labels.push(label);
        (labels, value)
    };
    values.into_iter().map(with_label).collect()
}

/// Values of one metric by the values of its labels.
pub(super) type Values<'scrape> = Vec<(Vec<&'scrape str>, f64)>;

/// Metrics that are made for one scrape.
#[derive(Default)]
pub(super) struct Families(pub(super) Vec<MetricFamily>);

impl Families {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<()> {
        self.gauges(name, help, &[], vec![(vec![], value)])
    }

    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: Values,
    ) -> Result<()> {
        let gauges = GaugeVec::new(named(name, help), labels)?;
        self.add(&gauges, values, |gauge, value| gauge.set(value))
    }

    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: Values,
    ) -> Result<()> {
        let counters = CounterVec::new(named(name, help), labels)?;
        self.add(&counters, values, |counter, value| counter.inc_by(value))
    }

    fn add<B: MetricVecBuilder>(
        &mut self,
        metrics: &MetricVec<B>,
        values: Values,
        set: impl Fn(&B::M, f64),
    ) -> Result<()> {
        for (labels, value) in values {
            set(&metrics.get_metric_with_label_values(&labels)?, value);
        }
        self.0.extend(metrics.collect());
        Ok(())
    }
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(format!("tidegate_{name}"), help)
}
