//! Metrics that are made for one scrape.

use prometheus::core::Collector;
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
        let gauges = GaugeVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            gauges.get_metric_with_label_values(&labels)?.set(value);
        }
        self.0.extend(gauges.collect());
        Ok(())
    }

    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: Values,
    ) -> Result<()> {
        let counters = CounterVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            counters
                .get_metric_with_label_values(&labels)?
                .inc_by(value);
        }
        self.0.extend(counters.collect());
        Ok(())
    }
}
