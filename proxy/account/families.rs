//! Metrics in the form that they are shown in, made for one scrape.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// Values of one metric by the values of its labels.
pub(super) type Values<'scrape> = Vec<(Vec<&'scrape str>, u64)>;

/// Values of one metric by the value of its only label.
pub(super) fn each<'scrape, const N: usize>(values: [(&'scrape str, u64); N]) -> Values<'scrape> {
    let values = values.into_iter();
    values.map(|(label, value)| (vec![label], value)).collect()
}

/// The same values with one more label.
pub(super) fn labelled<'scrape>(label: &'scrape str, values: Values<'scrape>) -> Values<'scrape> {
    let with_label = |(mut labels, value): (Vec<&'scrape str>, u64)| {
        labels.push(label);
        (labels, value)
    };
    values.into_iter().map(with_label).collect()
}

/// How often there was what.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution {
    /// By upper bound how often it was at most that, and above all before.
    pub(super) buckets: Vec<(f64, u64)>,
    /// How often there was anything.
    pub(super) count: u64,
    /// All of it together.
    pub(super) sum: f64,
}

/// Metrics that are made for one scrape.
#[derive(Default)]
pub(super) struct Families(pub(super) Vec<MetricFamily>);

impl Families {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, &[], vec![(vec![], value)]);
    }

    /// A gauge that is no whole number.
    pub(super) fn ratio(&mut self, name: &str, help: &str, value: f64) {
        self.add(MetricType::GAUGE, name, help, vec![gauge(value)]);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, &[], vec![(vec![], value)]);
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str], values: Values) {
        let metrics = with_labels(labels, values, |value| gauge(value as f64));
        self.add(MetricType::GAUGE, name, help, metrics);
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, labels: &[&str], values: Values) {
        let metrics = with_labels(labels, values, |value| {
            let (mut metric, mut counter) = (Metric::default(), Counter::default());
            counter.set_value(value as f64);
            metric.set_counter(counter);
            metric
        });
        self.add(MetricType::COUNTER, name, help, metrics);
    }

    pub(super) fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: Vec<(Vec<&str>, Distribution)>,
    ) {
        let metrics = with_labels(labels, values, histogram);
        self.add(MetricType::HISTOGRAM, name, help, metrics);
    }

    fn add(&mut self, kind: MetricType, name: &str, help: &str, metrics: Vec<Metric>) {
        // The text format has no metric without a value.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("tidegate_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

/// A metric for each value, with its labels in the order of their names.
fn with_labels<T>(
    labels: &[&str],
    values: Vec<(Vec<&str>, T)>,
    metric: impl Fn(T) -> Metric,
) -> Vec<Metric> {
    let values = values.into_iter();
    let labelled = values.map(|(named, value)| {
        let pairs = labels.iter().zip(named);
        let mut pairs: Vec<_> = pairs.map(|(label, named)| pair(label, named)).collect();
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut metric = metric(value);
        metric.set_label(pairs);
        metric
    });
    labelled.collect()
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn gauge(value: f64) -> Metric {
    let (mut metric, mut gauge) = (Metric::default(), Gauge::default());
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn histogram(distribution: Distribution) -> Metric {
    let (mut metric, mut histogram) = (Metric::default(), Histogram::default());
    histogram.set_sample_count(distribution.count);
    histogram.set_sample_sum(distribution.sum);
    let mut upto = 0;
    let buckets = distribution.buckets.into_iter().map(|(bound, count)| {
        upto += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(upto);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    metric.set_histogram(histogram);
    metric
}
