//! The context of a trace, in the headers of requests: W3C's `traceparent` (<https://www.w3.org/TR/trace-context/>), and B3's, one
//! header for each part or all in one (<https://github.com/openzipkin/b3-propagation>).

use crate::model::{CollectorProtocol, HeaderLookup, Tracing};
use crate::proxy::filter::headers;
use crate::proxy::http1::Head;
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::head::Headers;

const TRACEPARENT: &str = "traceparent";
const B3: &str = "b3";
const B3_TRACE: &str = "x-b3-traceid";
const B3_SPAN: &str = "x-b3-spanid";
const B3_PARENT: &str = "x-b3-parentspanid";
const B3_SAMPLED: &str = "x-b3-sampled";
const B3_FLAGS: &str = "x-b3-flags";

/// Who a span is, and whom it was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace; not 0.
    pub trace: u128,
    /// The span; not 0.
    pub span: u64,
    /// The span that caused it.
    pub parent: Option<u64>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// What a request says about its trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Received {
    /// Trace and span.
    caller: Option<(u128, u64)>,
    /// What was decided; `None`: nothing yet.
    sampled: Option<bool>,
}

impl SpanContext {
    /// The context of the span that a request begins here; what it carries says of which trace it is. `draw` gives uniformly
    /// distributed numbers.
    pub fn begin(tracing: &Tracing, head: &Head, bytes: &[u8], mut draw: impl FnMut() -> u64) -> Self {
        let headers = Headers { head, bytes };
        let received = match tracing.collector.protocol {
            CollectorProtocol::OtlpGrpc | CollectorProtocol::OtlpHttp { .. } => w3c(&headers).or_else(|| b3(&headers)),
            CollectorProtocol::Zipkin { .. } => b3(&headers).or_else(|| w3c(&headers)),
        };
        let received = received.unwrap_or_default();
        let sampled = received.sampled.unwrap_or_else(|| tracing.sampling.takes(draw()));
        // One of 2^64 draws is 0, which is no id.
        let span = draw().max(1);
        match received.caller {
            Some((trace, parent)) => Self { trace, span, parent: Some(parent), sampled },
            None => {
                let trace = ((u128::from(draw()) << 64) | u128::from(draw())).max(1);
                Self { trace, span, parent: None, sampled }
            }
        }
    }

    /// Writes the context into the request, in place of the one that it came with.
    pub fn propagate(&self, protocol: &CollectorProtocol, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
        let mut set = |name: &str, value: &str| {
            headers::remove(name, head, bytes, added);
            add_line(added, name, value.as_bytes());
        };
        let sampled = u8::from(self.sampled);
        match protocol {
            CollectorProtocol::OtlpGrpc | CollectorProtocol::OtlpHttp { .. } => {
                set(TRACEPARENT, &format!("00-{:032x}-{:016x}-{sampled:02x}", self.trace, self.span));
            }
            CollectorProtocol::Zipkin { .. } => {
                set(B3_TRACE, &format!("{:032x}", self.trace));
                set(B3_SPAN, &format!("{:016x}", self.span));
                set(B3_SAMPLED, if self.sampled { "1" } else { "0" });
                match self.parent {
                    Some(parent) => set(B3_PARENT, &format!("{parent:016x}")),
                    None => headers::remove(B3_PARENT, head, bytes, added),
                }
                headers::remove(B3_FLAGS, head, bytes, added);
                headers::remove(B3, head, bytes, added);
            }
        }
    }
}

fn w3c(headers: &Headers<'_>) -> Option<Received> {
    let value = headers.value(TRACEPARENT)?;
    let mut parts = value.trim_ascii().split(|byte| *byte == b'-');
    let version = hexadecimal(parts.next()?, 2)?;
    let trace = hexadecimal(parts.next()?, 32)?;
    let span = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
    let flags = hexadecimal(parts.next()?, 2)?;
    // 255 is no version, and version 0 has nothing behind the flags.
    let valid = version != 0xff && (version != 0 || parts.next().is_none()) && trace != 0 && span != 0;
    valid.then_some(Received { caller: Some((trace, span)), sampled: Some(flags & 1 == 1) })
}

fn b3(headers: &Headers<'_>) -> Option<Received> {
    if let Some(single) = headers.value(B3) {
        return b3_single(single.trim_ascii());
    }
    let sampled = match headers.value(B3_SAMPLED).as_deref() {
        Some(b"1" | b"true") => Some(true),
        Some(b"0" | b"false") => Some(false),
        _ => None,
    };
    let debug = headers.value(B3_FLAGS).as_deref() == Some(b"1");
    let caller = (|| {
        let trace = b3_trace(&headers.value(B3_TRACE)?)?;
        let span = u64::try_from(hexadecimal(&headers.value(B3_SPAN)?, 16)?).ok()?;
        (span != 0).then_some((trace, span))
    })();
    let received = Received { caller, sampled: if debug { Some(true) } else { sampled } };
    (received != Received::default()).then_some(received)
}

/// `TRACE-SPAN`, `TRACE-SPAN-SAMPLED`, `TRACE-SPAN-SAMPLED-PARENT` or `SAMPLED`.
fn b3_single(value: &[u8]) -> Option<Received> {
    let decided = |text: &[u8]| match text {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    };
    let mut parts = value.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else {
        return decided(first).map(|sampled| Received { caller: None, sampled: Some(sampled) });
    };
    let trace = b3_trace(first)?;
    let span = u64::try_from(hexadecimal(span, 16)?).ok().filter(|span| *span != 0)?;
    Some(Received { caller: Some((trace, span)), sampled: parts.next().and_then(decided) })
}

/// A trace of 128 bits, or of 64.
fn b3_trace(text: &[u8]) -> Option<u128> {
    let trace = hexadecimal(text, if text.len() == 16 { 16 } else { 32 })?;
    (trace != 0).then_some(trace)
}

/// A number of exactly so many hexadecimal digits.
fn hexadecimal(text: &[u8], digits: usize) -> Option<u128> {
    if text.len() != digits || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Collector, Share};
    use crate::proxy::http1::{RequestLine, parse_request, write_request};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn tracing(protocol: CollectorProtocol, percent: f64) -> Tracing {
        Tracing {
            collector: Collector { name: "c".into(), host: "c".into(), port: 1, protocol },
            sampling: Share::of_hundred(percent),
            reports: true,
            propagates: true,
            istio_tags: true,
            max_path_bytes: Tracing::MAX_PATH_BYTES,
            tags: Vec::new(),
        }
    }

    fn zipkin() -> CollectorProtocol {
        CollectorProtocol::Zipkin { path: "/api/v2/spans".into() }
    }

    /// What a request with these headers becomes, and what it is sent on with.
    fn through(protocol: CollectorProtocol, percent: f64, headers: &str) -> (SpanContext, String) {
        let tracing = tracing(protocol, percent);
        let message = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let (mut head, mut added, mut written) = (Head::default(), Vec::new(), Vec::new());
        parse_request(message.as_bytes(), false, &mut head).unwrap();
        let context = SpanContext::begin(&tracing, &head, message.as_bytes(), || 0x0101);
        context.propagate(&tracing.collector.protocol, &mut head, message.as_bytes(), &mut added);
        let line = RequestLine { method: b"GET", path_and_query: b"/" };
        write_request(line, &head, message.as_bytes(), &added, &mut written);
        (context, String::from_utf8(written).unwrap())
    }

    #[test]
    fn a_trace_goes_on_under_a_new_span_and_keeps_what_was_decided() {
        for (flags, sampled) in [("01", true), ("00", false)] {
            let given = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-{flags}\r\ntracestate: a=b\r\n");
            let (context, sent) = through(CollectorProtocol::OtlpGrpc, 50.0, &given);
            assert_eq!((format!("{:032x}", context.trace).as_str(), context.sampled), (TRACE, sampled));
            assert_eq!(context.parent, Some(0x00f0_67aa_0ba9_02b7));
            assert_eq!(sent.matches("traceparent").count(), 1, "{sent}");
            assert!(sent.contains(&format!("traceparent: 00-{TRACE}-0000000000000101-{flags}\r\n")), "{sent}");
            assert!(sent.contains("tracestate: a=b\r\n"), "{sent}");
        }
    }

    #[test]
    fn the_headers_of_b3_are_one_or_several() {
        let several = format!("X-B3-TraceId: {TRACE}\r\nx-b3-spanid: 00f067aa0ba902b7\r\nx-b3-sampled: 1\r\n");
        let single = format!("b3: {TRACE}-00f067aa0ba902b7-1\r\n");
        let short = "x-b3-traceid: a3ce929d0e0e4736\r\nx-b3-spanid: 00f067aa0ba902b7\r\nx-b3-sampled: 1\r\n";
        for (given, trace) in [(several.as_str(), TRACE), (&single, TRACE), (short, "0000000000000000a3ce929d0e0e4736")]
        {
            let (context, sent) = through(zipkin(), 0.0, given);
            assert!(context.sampled && context.parent.is_some(), "{given}");
            for line in [
                format!("x-b3-traceid: {trace}\r\n"),
                "x-b3-spanid: 0000000000000101\r\n".to_owned(),
                "x-b3-parentspanid: 00f067aa0ba902b7\r\n".to_owned(),
                "x-b3-sampled: 1\r\n".to_owned(),
            ] {
                assert_eq!(sent.matches(&line).count(), 1, "{given}{sent}");
            }
            assert!(!sent.contains("\r\nb3: "), "{sent}");
        }
    }

    #[test]
    fn who_comes_without_a_context_is_sampled_by_chance() {
        assert!(through(CollectorProtocol::OtlpGrpc, 100.0, "").0.sampled);
        assert!(!through(CollectorProtocol::OtlpGrpc, 0.0, "").0.sampled);
        // A decision without a trace holds as well.
        assert!(through(zipkin(), 0.0, "b3: 1\r\n").0.sampled);
        assert!(!through(zipkin(), 100.0, "x-b3-sampled: 0\r\n").0.sampled);
        assert!(through(zipkin(), 0.0, "x-b3-flags: 1\r\n").0.sampled);
    }

    #[test]
    fn a_context_that_cannot_be_read_is_none() {
        let zeros = "0".repeat(32);
        for value in [
            "",
            "00",
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{TRACE}x-00f067aa0ba902b7-01"),
            &format!("00-+{}-00f067aa0ba902b7-01", &TRACE[1..]),
        ] {
            let (context, sent) = through(CollectorProtocol::OtlpGrpc, 0.0, &format!("traceparent: {value}\r\n"));
            assert_eq!(context.parent, None, "{value}");
            assert_eq!(sent.matches("traceparent").count(), 1, "{sent}");
        }
        // A later version may say more.
        let later = format!("traceparent: 01-{TRACE}-00f067aa0ba902b7-01-more\r\n");
        assert!(through(CollectorProtocol::OtlpGrpc, 0.0, &later).0.parent.is_some());
    }
}
