//! What the collector holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

/// Spans held, of all traces; the oldest traces go first.
const SPANS: usize = 50_000;
/// Spans held of one trace; later ones are dropped.
const TRACE_SPANS: usize = 2_000;
/// Tags held of a span.
const TAGS: usize = 64;
/// Length of a name or a value that is held, in bytes.
const TEXT: usize = 2_048;

/// One span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) service: String,
    pub(super) operation: String,
    /// `server`, `client`, …; empty where it is not said.
    pub(super) kind: &'static str,
    /// Microseconds since 1970.
    pub(super) start: u64,
    /// Microseconds.
    pub(super) duration: u64,
    pub(super) tags: Vec<(String, Value)>,
    pub(super) failed: bool,
}

/// The spans of one trace, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) spans: Vec<Span>,
}

impl Trace {
    /// When its first span begins, in microseconds since 1970.
    pub(super) fn start(&self) -> u64 {
        self.spans.iter().map(|span| span.start).min().unwrap_or_default()
    }

    /// How long it takes from its first span's begin to its last one's end, in microseconds.
    pub(super) fn duration(&self) -> u64 {
        let end = self.spans.iter().map(|span| span.start.saturating_add(span.duration)).max();
        end.unwrap_or_default().saturating_sub(self.start())
    }

    /// The span that no other of the trace has caused; the earliest where there are several.
    pub(super) fn root(&self) -> Option<&Span> {
        let ids: BTreeSet<u64> = self.spans.iter().map(|span| span.id).collect();
        let caused = |span: &&Span| span.parent.is_some_and(|parent| ids.contains(&parent));
        let begun = |span: &&Span| span.start;
        self.spans.iter().filter(|span| !caused(span)).min_by_key(begun).or_else(|| self.spans.iter().min_by_key(begun))
    }

    /// Its services, by name.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.service.as_str()).collect()
    }
}

/// Bounded: see the constants above.
#[derive(Debug, Default)]
pub(crate) struct Store {
    traces: BTreeMap<u128, Trace>,
    /// The traces in the order of their first span's arrival.
    order: VecDeque<u128>,
    count: usize,
}

impl Store {
    /// Takes a span; drops it where its trace has too many, and the oldest traces where all have.
    pub(super) fn add(&mut self, mut span: Span) {
        span.tags.truncate(TAGS);
        shorten(&mut span.service);
        shorten(&mut span.operation);
        for (name, value) in &mut span.tags {
            shorten(name);
            if let Value::String(text) = value {
                shorten(text);
            }
        }
        let trace = self.traces.entry(span.trace).or_insert_with(|| {
            self.order.push_back(span.trace);
            Trace::default()
        });
        if trace.spans.len() >= TRACE_SPANS {
            return;
        }
        trace.spans.push(span);
        self.count += 1;
        while self.count > SPANS {
            let Some(oldest) = self.order.pop_front() else { return };
            self.count -= self.traces.remove(&oldest).map_or(0, |trace| trace.spans.len());
        }
    }

    pub(super) fn trace(&self, id: u128) -> Option<&Trace> {
        self.traces.get(&id)
    }

    /// All traces, those whose first span came last at first.
    pub(super) fn latest(&self) -> impl Iterator<Item = (u128, &Trace)> {
        self.order.iter().rev().filter_map(|id| Some((*id, self.traces.get(id)?)))
    }

    /// All spans.
    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.traces.values().flat_map(|trace| &trace.spans)
    }

    /// The services that have told spans, by name.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        self.spans().map(|span| span.service.as_str()).collect()
    }
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT));
}

/// What an identifier in hexadecimal says; `None` for 0 and for what is none.
pub(super) fn trace_id(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok().filter(|id| *id != 0)
}

/// The same, of a span.
pub(super) fn span_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u128) -> Span {
        Span { trace, id: 1, ..Span::default() }
    }

    #[test]
    fn the_oldest_traces_make_room_and_no_trace_takes_all_of_it() {
        let mut store = Store::default();
        for _ in 0..TRACE_SPANS + 7 {
            store.add(span(1));
        }
        assert_eq!(store.trace(1).map(|trace| trace.spans.len()), Some(TRACE_SPANS));
        for trace in 2..=u128::try_from(SPANS - TRACE_SPANS + 1).unwrap() {
            store.add(span(trace));
        }
        assert_eq!(store.spans().count(), SPANS);
        store.add(span(u128::MAX));
        assert!(store.trace(1).is_none() && store.trace(2).is_some());
        assert_eq!(store.latest().next().map(|(id, _)| id), Some(u128::MAX));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut store = Store::default();
        store.add(Span { operation: "ä".repeat(TEXT), ..span(1) });
        assert_eq!(store.spans().next().map(|span| span.operation.len()), Some(TEXT));
    }
}
