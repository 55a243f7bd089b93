//! Label sets, each with the cells that count it: one per worker that has met it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::labels::{RequestLabels, UNKNOWN};
use super::overrides::Customized;

/// What one worker counts of one label set.
pub(super) trait Cell: Default {
    /// A number that is another one after something was counted.
    fn activity(&self) -> u64;

    /// Says that nobody reads it any more.
    fn retire(&self);
}

/// The series of one kind of cell.
#[derive(Debug)]
pub(super) struct Table<C> {
    series: Mutex<HashMap<Arc<RequestLabels>, Series<C>>>,
}

#[derive(Debug)]
struct Series<C> {
    /// (shard, its cell).
    cells: Vec<(usize, Arc<C>)>,
    /// The activity when expiry last looked, and since when that number stands.
    seen: (u64, Instant),
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { series: Mutex::default() }
    }
}

impl<C: Cell> Table<C> {
    /// The cell of a label set on worker `shard`. A set that is new once there are `limit` is counted together with others; whether
    /// this one is, is the second part of the answer.
    pub(super) fn cell(&self, labels: &RequestLabels, shard: usize, limit: usize) -> (Arc<C>, bool) {
        let mut series = self.series.lock();
        if let Some(found) = series.get_mut(labels) {
            return (cell_of(&mut found.cells, shard), false);
        }
        let is_over = series.len() >= limit;
        let labels = if is_over { overflow(labels) } else { labels.clone() };
        let now = Instant::now();
        let found = series.entry(Arc::new(labels)).or_insert_with(|| Series { cells: Vec::new(), seen: (0, now) });
        (cell_of(&mut found.cells, shard), is_over)
    }

    /// Gives up the series that have counted nothing for as long as `idle`.
    pub(super) fn expire(&self, now: Instant, idle: Duration) {
        self.series.lock().retain(|_, series| {
            let activity = series.cells.iter().fold(0_u64, |sum, (_, cell)| sum.wrapping_add(cell.activity()));
            if activity != series.seen.0 {
                series.seen = (activity, now);
                return true;
            }
            let expired = now.saturating_duration_since(series.seen.1) >= idle;
            if expired {
                series.cells.iter().for_each(|(_, cell)| cell.retire());
            }
            !expired
        });
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.series.lock().len()
    }

    /// Every label set that has counted something, its shards added up by `add`.
    pub(super) fn read<T: Default>(&self, add: impl Fn(&mut T, &C)) -> Vec<(Arc<RequestLabels>, T)> {
        let series = self.series.lock();
        let counting = series.iter().filter(|(_, series)| series.cells.iter().any(|(_, cell)| cell.activity() != 0));
        counting
            .map(|(labels, series)| {
                let mut totals = T::default();
                series.cells.iter().for_each(|(_, cell)| add(&mut totals, cell));
                (labels.clone(), totals)
            })
            .collect()
    }
}

fn cell_of<C: Default>(cells: &mut Vec<(usize, Arc<C>)>, shard: usize) -> Arc<C> {
    if let Some((_, cell)) = cells.iter().find(|(of, _)| *of == shard) {
        return cell.clone();
    }
    let cell: Arc<C> = Arc::default();
    cells.push((shard, cell.clone()));
    cell
}

/// The series that counts what finds no room: what is left of its labels is bounded by itself.
fn overflow(labels: &RequestLabels) -> RequestLabels {
    RequestLabels {
        reporter: labels.reporter,
        source: Arc::default(),
        destination: Arc::default(),
        destination_service: "".into(),
        destination_service_name: "".into(),
        destination_service_namespace: "".into(),
        request_protocol: labels.request_protocol,
        response_code: labels.response_code,
        grpc_response_status: "",
        response_flags: "-",
        mutual_tls: labels.mutual_tls,
        customized: labels.customized.as_ref().map(|customized| {
            let values = vec![UNKNOWN.into(); customized.values.len()];
            Arc::new(Customized { overrides: customized.overrides.clone(), values })
        }),
    }
}
