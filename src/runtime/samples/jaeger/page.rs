//! Pages that list traces and draw one. Every value from outside is escaped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bytes::Bytes;
use http::{Response, StatusCode};
use k8s_openapi::jiff::Timestamp;

use super::super::bookinfo::form::encode;
use super::super::bookinfo::page::escape;
use super::super::reply;
use super::query::{Search, shown};
use super::store::{Span, Store, Trace, trace_id};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}\
a{color:#06c;text-decoration:none}table{border-collapse:collapse;width:100%}th{text-align:left;color:#666}\
td,th{padding:.2rem .6rem;border-bottom:1px solid #eee}.n{text-align:right}.failed{color:#a00}\
.row{display:grid;grid-template-columns:24rem 1fr}.name{overflow:hidden;white-space:nowrap;text-overflow:ellipsis}\
.line{position:relative;border-left:1px solid #eee}.bar{position:absolute;top:.3rem;height:.8rem;min-width:2px;background:#4a90d9}\
.failed .bar{background:#c33}.took{position:absolute;right:0;color:#666;font-size:.8rem}summary{cursor:pointer;list-style:none}\
dl{display:grid;grid-template-columns:16rem 1fr;margin:.2rem 1rem 1rem;font-size:.85rem}dt{color:#666}dd{margin:0}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th,.line{border-color:#333}a{color:#6af}}";

/// Deepest indentation.
const DEPTH: usize = 24;

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(arguments);
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>\n",
        escape(title)
    )
}

/// Microseconds, for people.
fn took(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

fn time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// The traces that a query asks for, the latest first; without a service, those of all.
pub(super) fn search(store: &Store, base: &str, query: Option<&str>) -> String {
    let search = Search::parse(query.unwrap_or_default());
    let mut out = format!(
        "<h1>Traces</h1><form action=\"{base}/search\"><select name=\"service\"><option value=\"\">all services"
    );
    for service in store.services() {
        let chosen = if service == search.service { " selected" } else { "" };
        push(&mut out, format_args!("<option{chosen}>{}", escape(service)));
    }
    push(
        &mut out,
        format_args!(
            "</select> <input name=\"operation\" placeholder=\"operation\" value=\"{}\"> <input name=\"limit\" size=\"4\" \
             value=\"{}\"> <button>Find</button></form>",
            escape(&search.operation),
            search.limit
        ),
    );
    let found: Vec<(u128, &Trace)> = search.find(store).collect();
    if found.is_empty() {
        out.push_str(
            "<p>There is no such trace. Traces come from proxies when a Telemetry says who collects them \
             (spec.tracing.providers) and how many are told (randomSamplingPercentage).</p>",
        );
        return frame("Traces", &out);
    }
    out.push_str("<table><tr><th>Start (UTC)<th>Trace<th class=\"n\">Duration<th class=\"n\">Spans<th>Services");
    for (id, trace) in found {
        let Some(root) = trace.root() else { continue };
        let failed = trace.spans.iter().any(|span| span.failed);
        push(
            &mut out,
            format_args!(
                "<tr{}><td>{}<td><a href=\"{base}/trace/{id:032x}\">{}: {}</a><td class=\"n\">{}<td class=\"n\">{}<td>",
                if failed { " class=\"failed\"" } else { "" },
                time(trace.start()),
                escape(&root.service),
                escape(&root.operation),
                took(trace.duration()),
                trace.spans.len()
            ),
        );
        for (at, service) in trace.services().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            push(
                &mut out,
                format_args!("{comma}<a href=\"{base}/search?service={}\">{}</a>", encode(service), escape(service)),
            );
        }
    }
    out.push_str("</table>");
    frame("Traces", &out)
}

/// One trace: its spans below those that have caused them, each over the time that it took.
pub(super) fn trace(store: &Store, base: &str, id: &str) -> Response<Bytes> {
    let Some((id, trace)) = trace_id(id).and_then(|id| Some((id, store.trace(id)?))) else {
        let body = format!(
            "<h1>No such trace</h1><p>It was not told, or later ones have taken its place. <a href=\"{base}/\">All traces</a></p>"
        );
        let mut missing = reply::html(frame("No such trace", &body));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let mut out = format!(
        "<p><a href=\"{base}/\">All traces</a></p><h1>{id:032x}</h1><p>{} UTC, {}, {} spans</p>",
        time(trace.start()),
        took(trace.duration()),
        trace.spans.len()
    );
    for (depth, span) in in_order(trace) {
        draw(&mut out, trace, depth, span);
    }
    reply::html(frame("Trace", &out))
}

fn draw(out: &mut String, trace: &Trace, depth: usize, span: &Span) {
    let whole = trace.duration().max(1) as f64;
    let percent = |micros: u64| micros as f64 * 100.0 / whole;
    push(
        out,
        format_args!(
            "<details{}><summary class=\"row\"><span class=\"name\" style=\"padding-left:{}rem\">{} <small>{}</small></span>\
             <span class=\"line\"><span class=\"bar\" style=\"left:{:.2}%;width:{:.2}%\"></span><span class=\"took\">{}</span></span>\
             </summary><dl>",
            if span.failed { " class=\"failed\"" } else { "" },
            depth.min(DEPTH),
            escape(&span.service),
            escape(&span.operation),
            percent(span.start.saturating_sub(trace.start())),
            percent(span.duration),
            took(span.duration)
        ),
    );
    if !span.kind.is_empty() {
        push(out, format_args!("<dt>span.kind<dd>{}", span.kind));
    }
    for (name, value) in &span.tags {
        push(out, format_args!("<dt>{}<dd>{}", escape(name), escape(&shown(value))));
    }
    out.push_str("</dl></details>");
}

/// Every span once, below its cause and by its begin, with how deep it is.
fn in_order(trace: &Trace) -> Vec<(usize, &Span)> {
    let ids: BTreeSet<u64> = trace.spans.iter().map(|span| span.id).collect();
    let mut below: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
    for (at, span) in trace.spans.iter().enumerate() {
        let cause = span.parent.filter(|parent| ids.contains(parent) && *parent != span.id);
        below.entry(cause).or_default().push(at);
    }
    let start = |at: &usize| std::cmp::Reverse(trace.spans.get(*at).map(|span| span.start));
    below.values_mut().for_each(|spans| spans.sort_by_key(start));
    let mut waiting: Vec<(usize, usize)> =
        below.remove(&None).unwrap_or_default().into_iter().map(|at| (0, at)).collect();
    let mut ordered = Vec::with_capacity(trace.spans.len());
    loop {
        let Some((depth, at)) = waiting.pop() else {
            // Spans that name each other as their cause have no first one: any is as good.
            let Some((_, rest)) = below.pop_first() else { return ordered };
            waiting.extend(rest.into_iter().map(|at| (0, at)));
            continue;
        };
        let Some(span) = trace.spans.get(at) else { continue };
        ordered.push((depth, span));
        waiting.extend(below.remove(&Some(span.id)).unwrap_or_default().into_iter().map(|at| (depth + 1, at)));
    }
}
