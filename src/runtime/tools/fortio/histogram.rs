//! How long calls took, in fortio's ranges.

use std::io::{self, Write};

use super::rounded;

/// Upper ends of ranges, in thousandths.
const ENDS: &[f64] = &[
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 14.0, 16.0, 18.0, 20.0, 25.0, 30.0, 35.0, 40.0,
    45.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 120.0, 140.0, 160.0, 180.0, 200.0, 250.0, 300.0, 350.0, 400.0, 450.0,
    500.0, 600.0, 700.0, 800.0, 900.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 7500.0, 10000.0, 20000.0, 30000.0,
    40000.0, 50000.0, 75000.0, 100_000.0,
];

/// Values, kept whole: a run is bounded.
#[derive(Debug, Default)]
pub(super) struct Histogram(Vec<f64>);

/// A range that holds values.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    from: f64,
    to: f64,
    count: usize,
}

impl FromIterator<f64> for Histogram {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Histogram {
    pub(super) fn record(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn average(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.iter().sum::<f64>() / self.0.len() as f64 }
    }

    fn bounds(&self) -> (f64, f64) {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in &self.0 {
            (least, most) = (least.min(*value), most.max(*value));
        }
        if self.0.is_empty() { (0.0, 0.0) } else { (least, most) }
    }

    /// `count 3 avg 2 +/- 0.8165 min 1 max 3 sum 6`
    pub(super) fn summary(&self) -> String {
        let (least, most) = self.bounds();
        let average = self.average();
        let count = self.0.len();
        let squares: f64 = self.0.iter().map(|value| (value - average).powi(2)).sum();
        let deviation = if count == 0 { 0.0 } else { (squares / count as f64).sqrt() };
        format!(
            "count {count} avg {} +/- {} min {} max {} sum {}",
            rounded(average, 8),
            rounded(deviation, 4),
            rounded(least, 9),
            rounded(most, 9),
            rounded(self.0.iter().sum(), 9)
        )
    }

    fn ranges(&self) -> Vec<Range> {
        let (least, most) = self.bounds();
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let mut ranges = Vec::new();
        let (mut from, mut taken) = (least, 0);
        let ends = ENDS.iter().map(|end| end / 1000.0).chain([f64::INFINITY]);
        for end in ends {
            let upto = sorted.partition_point(|value| *value <= end);
            if upto > taken {
                let to = end.min(most);
                ranges.push(Range { from: from.max(least), to, count: upto - taken });
            }
            (from, taken) = (end, upto);
        }
        ranges
    }

    /// The value that `percent` of all do not pass, taken evenly from its range.
    fn percentile(ranges: &[Range], percent: f64) -> f64 {
        let total: usize = ranges.iter().map(|range| range.count).sum();
        let wanted = total as f64 * percent / 100.0;
        let mut before = 0.0;
        for range in ranges {
            let count = range.count as f64;
            if before + count >= wanted {
                return range.from + (range.to - range.from) * ((wanted - before) / count).clamp(0.0, 1.0);
            }
            before += count;
        }
        ranges.last().map_or(0.0, |range| range.to)
    }

    pub(super) fn print(&self, out: &mut dyn Write, title: &str, percentiles: &[f64]) -> io::Result<()> {
        writeln!(out, "{title} : {}", self.summary())?;
        let ranges = self.ranges();
        writeln!(out, "# range, mid point, percentile, count")?;
        let mut before = 0;
        for (at, range) in ranges.iter().enumerate() {
            before += range.count;
            let mark = if at == 0 { ">=" } else { ">" };
            writeln!(
                out,
                "{mark} {} <= {} , {} , {:.2}, {}",
                rounded(range.from, 6),
                rounded(range.to, 6),
                rounded(f64::midpoint(range.from, range.to), 6),
                before as f64 * 100.0 / self.0.len().max(1) as f64,
                range.count
            )?;
        }
        for percent in percentiles {
            writeln!(out, "# target {percent}% {}", rounded(Self::percentile(&ranges, *percent), 6))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_fortios_ranges_and_percentiles_are_taken_evenly_from_them() {
        let values: Histogram = [0.0005, 0.0008, 0.0035, 0.0130].into_iter().collect();
        let mut out = Vec::new();
        values.print(&mut out, "Aggregated Function Time", &[50.0, 99.0]).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(
            shown,
            "Aggregated Function Time : count 4 avg 0.00445 +/- 0.005073 min 0.0005 max 0.013 sum 0.0178\n\
             # range, mid point, percentile, count\n\
             >= 0.0005 <= 0.001 , 0.00075 , 50.00, 2\n\
             > 0.003 <= 0.004 , 0.0035 , 75.00, 1\n\
             > 0.012 <= 0.013 , 0.0125 , 100.00, 1\n\
             # target 50% 0.001\n\
             # target 99% 0.01296\n"
        );
    }
}
