//! What a peer may send that costs us work and leads to nothing.
//!
//! The `h2` crate bounds what a peer can make us hold; this bounds what it can make us do. Frame heads are read as their bytes pass,
//! in both directions. A frame that asks for nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, CONTINUATION, an empty DATA, a
//! kind that nobody knows) takes from an allowance, which comes back with time and with what we send; a peer that uses it up is
//! cut. So is one that takes back most of the requests it makes (CVE-2023-44487).
//!
//! The figures are Envoy's, where it has some: 10 WINDOW_UPDATEs for each DATA frame that was sent, 500 streams of which half
//! were reset.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

/// Frames that ask for nothing, at once.
const ALLOWANCE: u32 = 1_000;
/// How many of them come back with each frame of a response.
const PER_FRAME_SENT: u32 = 10;
/// How many come back in a second.
const PER_SECOND: f64 = 100.0;
/// Streams that a peer may reset, however many it opened.
const RESETS: u32 = 500;
/// Bytes of a client's preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// Bytes of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// A frame's head, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
    stream: u32,
}

impl Frame {
    /// Whether it opens a stream, carries something or ends something.
    fn is_useful(self) -> bool {
        match self.kind {
            HEADERS | RST_STREAM => true,
            DATA => self.length > 0 || self.flags & END_STREAM != 0,
            _ => false,
        }
    }
}

/// Finds frames in bytes that come in pieces.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that are here.
    held: usize,
    /// Bytes until the next head begins.
    skip: usize,
}

impl Frames {
    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            for (place, byte) in self.head.iter_mut().skip(self.held).zip(bytes) {
                *place = *byte;
            }
            let taken = (HEAD - self.held).min(bytes.len());
            self.held += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.held < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, stream @ ..] = self.head;
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.held = 0;
            self.skip = length;
            each(Frame { kind, flags, length, stream: u32::from_be_bytes(stream) & 0x7fff_ffff });
        }
    }
}

/// Watches one connection of a client.
#[derive(Debug)]
pub(super) struct Guard {
    received: RefCell<Frames>,
    sent: RefCell<Frames>,
    left: Cell<u32>,
    /// When time last gave something back.
    refilled: Cell<Instant>,
    opened: Cell<u32>,
    /// The highest stream that was opened: what comes on it or below are trailers.
    highest: Cell<u32>,
    reset: Cell<u32>,
    exceeded: Cell<bool>,
}

impl Guard {
    /// For a connection of which nothing has been read.
    pub fn new() -> Self {
        Self {
            received: RefCell::new(Frames { skip: PREFACE, ..Frames::default() }),
            sent: RefCell::default(),
            left: Cell::new(ALLOWANCE),
            refilled: Cell::new(Instant::now()),
            opened: Cell::new(0),
            highest: Cell::new(0),
            reset: Cell::new(0),
            exceeded: Cell::new(false),
        }
    }

    /// Whether the peer is to be cut.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// The peer sent this.
    pub fn received(&self, bytes: &[u8]) {
        self.received.borrow_mut().feed(bytes, |frame| match frame.kind {
            HEADERS if frame.stream > self.highest.get() => {
                self.highest.set(frame.stream);
                self.opened.set(self.opened.get().saturating_add(1));
            }
            RST_STREAM => {
                let reset = self.reset.get().saturating_add(1);
                self.reset.set(reset);
                if reset > RESETS && reset > self.opened.get() / 2 {
                    self.exceeded.set(true);
                }
            }
            _ if frame.is_useful() => {}
            _ => self.take(),
        });
    }

    /// We sent this.
    pub fn sent(&self, bytes: &[u8]) {
        self.sent.borrow_mut().feed(bytes, |frame| {
            if matches!(frame.kind, DATA | HEADERS) {
                self.left.set(self.left.get().saturating_add(PER_FRAME_SENT).min(ALLOWANCE));
            }
        });
    }

    fn take(&self) {
        if self.left.get() == 0 {
            // The clock is looked at only here.
            let now = Instant::now();
            let back = now.duration_since(self.refilled.get()).min(Duration::from_secs(60)).as_secs_f64() * PER_SECOND;
            self.refilled.set(now);
            self.left.set((back as u32).min(ALLOWANCE));
        }
        match self.left.get() {
            0 => self.exceeded.set(true),
            left => self.left.set(left - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    /// A frame of one of many streams.
    fn on(stream: u32, mut frame: Vec<u8>) -> Vec<u8> {
        frame[5..9].copy_from_slice(&stream.to_be_bytes());
        frame
    }

    fn greeted() -> Guard {
        let guard = Guard::new();
        guard.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        guard
    }

    proptest! {
        #[test]
        fn frames_are_found_however_their_bytes_are_cut(
            frames in proptest::collection::vec((any::<u8>(), any::<u8>(), 0_usize..40), 0..20),
            cuts in proptest::collection::vec(1_usize..30, 1..40),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, length)| frame(*kind, *flags, *length)).collect();
            let mut found = Vec::new();
            let (mut reader, mut rest, mut cuts) = (Frames::default(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                reader.feed(piece, |frame| found.push((frame.kind, frame.flags, frame.length)));
                rest = after;
            }
            prop_assert_eq!(found, frames);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_allowed_in_moderation() {
        let guard = greeted();
        for _ in 0..60 {
            for _ in 0..90 {
                guard.received(&frame(PING, 0, 8));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!guard.is_exceeded());
        for _ in 0..=ALLOWANCE + 100 {
            guard.received(&frame(PING, 0, 8));
        }
        assert!(guard.is_exceeded());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_what_we_send_may_say_so() {
        let guard = greeted();
        for _ in 0..2_000 {
            guard.sent(&frame(DATA, 0, 100));
            guard.received(&[frame(WINDOW_UPDATE, 0, 4), frame(WINDOW_UPDATE, 0, 4), frame(PING, 0, 8)].concat());
        }
        assert!(!guard.is_exceeded());
        for _ in 0..=ALLOWANCE {
            guard.received(&frame(DATA, 0, 0));
        }
        assert!(guard.is_exceeded(), "empty DATA ask for nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_back_most_requests_is_cut_and_who_takes_back_some_is_not() {
        let (some, most, trailing) = (greeted(), greeted(), greeted());
        for number in 0..=RESETS {
            let (first, second) = (4 * number + 1, 4 * number + 3);
            let opens = |stream| on(stream, frame(HEADERS, 4, 30));
            let resets = |stream| on(stream, frame(RST_STREAM, 0, 4));
            some.received(&[opens(first), opens(second), resets(second)].concat());
            most.received(&[opens(first), resets(first)].concat());
            // Trailers open nothing.
            trailing.received(&[opens(first), opens(first), resets(first)].concat());
        }
        assert_eq!([some, most, trailing].map(|guard| guard.is_exceeded()), [false, true, true]);
    }
}
