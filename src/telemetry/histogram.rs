//! Histograms with Envoy's default bounds, counted in atomics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets in thousandths of the unit (milliseconds, or bytes): Envoy's defaults, which Istio's dashboards
/// are drawn for.
pub const BOUNDS: [u64; 19] = [
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

const COUNT: usize = BOUNDS.len() + 1;

/// A histogram that many threads may add to.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; COUNT],
    sum: AtomicU64,
}

impl Histogram {
    /// Counts a value, given in thousandths of the unit.
    pub fn record(&self, thousandths: u64) {
        let index = BOUNDS.partition_point(|bound| *bound < thousandths);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(thousandths, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn read(&self) -> Buckets {
        let mut counts = [0; COUNT];
        for (count, bucket) in counts.iter_mut().zip(&self.buckets) {
            *count = bucket.load(Ordering::Relaxed);
        }
        Buckets { counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// A histogram's counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Values per bucket, not cumulated; the last is for what exceeds every bound.
    counts: [u64; COUNT],
    sum: u64,
}

impl Buckets {
    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in the unit.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / 1000.0
    }

    /// (upper bound in the unit, values up to it), the unbounded bucket left out.
    pub fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound as f64 / 1000.0, *total))
        })
    }

    /// Adds what another histogram counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// What was counted after `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (count, before) in difference.counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        difference.sum = self.sum.saturating_sub(earlier.sum);
        difference
    }

    /// The value that a share `quantile` (0 to 1) of what was counted does not exceed, interpolated within its bucket; `None`
    /// when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = quantile.clamp(0.0, 1.0) * total as f64;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            let (upper, inside) = (*bound as f64 / 1000.0, *count as f64);
            if inside > 0.0 && below + inside >= rank {
                return Some(lower + (upper - lower) * ((rank - below) / inside).clamp(0.0, 1.0));
            }
            below += inside;
            lower = upper;
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_the_bucket_below() {
        let histogram = Histogram::default();
        for value in [500, 501, 1_000, 4_000_000_000] {
            histogram.record(value);
        }
        let buckets = histogram.read();
        assert_eq!(buckets.cumulated().take(3).collect::<Vec<_>>(), [(0.5, 1), (1.0, 3), (5.0, 3)]);
        assert_eq!((buckets.count(), buckets.sum()), (4, 4_000_002.001));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().quantile(0.5), None);
        for _ in 0..99 {
            histogram.record(2_000);
        }
        histogram.record(20_000);
        let buckets = histogram.read();
        assert!(buckets.quantile(0.5).is_some_and(|value| value > 1.0 && value <= 5.0));
        assert!(buckets.quantile(1.0).is_some_and(|value| value > 10.0 && value <= 25.0));
    }

    #[test]
    fn a_difference_holds_what_came_in_between() {
        let histogram = Histogram::default();
        histogram.record(2_000);
        let before = histogram.read();
        histogram.record(7_000);
        let between = histogram.read().since(&before);
        assert_eq!((between.count(), between.sum()), (1, 7.0));
    }
}
