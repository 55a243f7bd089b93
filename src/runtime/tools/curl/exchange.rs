//! One request and its response.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;

use super::args::{Failure, Options};
use super::tls;
use crate::runtime::loopback::REFUSAL;
use crate::runtime::tools::dial::{self, Ways};

/// What curl calls itself: the version of the image that Istio's samples name.
pub(super) const USER_AGENT: &str = "curl/8.16.0";

/// Time for a connection where nothing says otherwise.
const CONNECT: Duration = Duration::from_secs(300);
/// Largest response head.
const HEAD: usize = 256 << 10;
/// Header fields of a response at most.
const FIELDS: usize = 256;

/// A request, ready to be sent.
pub(super) struct Request<'a> {
    pub(super) options: &'a Options,
    pub(super) method: &'a str,
    pub(super) url: Uri,
    pub(super) body: Option<Vec<u8>>,
    pub(super) content_type: Option<String>,
}

/// When what happened, since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) connected: Duration,
    pub(super) secured: Duration,
    pub(super) first_byte: Duration,
    pub(super) total: Duration,
}

/// What is known at the end.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) status: u16,
    pub(super) version: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    pub(super) times: Times,
    pub(super) request_bytes: usize,
    pub(super) head_bytes: usize,
    pub(super) sent: usize,
    pub(super) received: u64,
}

impl Report {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Where an exchange says what it does.
pub(super) struct Observer<'a> {
    /// `-v`
    pub(super) verbose: Option<&'a mut dyn Write>,
    /// `-i`, `-I`
    pub(super) head: Option<&'a mut dyn Write>,
    /// `-D`
    pub(super) dump: Option<&'a mut dyn Write>,
}

impl Observer<'_> {
    fn note(&mut self, line: impl std::fmt::Display) -> io::Result<()> {
        match &mut self.verbose {
            Some(out) => writeln!(out, "* {line}"),
            None => Ok(()),
        }
    }

    fn lines(&mut self, mark: char, head: &str) -> io::Result<()> {
        if let Some(out) = &mut self.verbose {
            for line in head.split_terminator("\r\n") {
                writeln!(out, "{mark} {line}")?;
            }
        }
        Ok(())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Sends the request and reads the response's head; then `sink` is given to its body. The report is filled as far as things went.
pub(super) fn run(
    request: &Request<'_>,
    ways: &Ways,
    report: &mut Report,
    observer: &mut Observer<'_>,
    began: Instant,
    mut sink: impl FnMut(&Report) -> Result<Option<Box<dyn Write>>, Failure>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let options = request.options;
    let deadline = options.max_time.map(|limit| began + limit);
    let (host, port, secure) = target(&request.url)?;
    let (dial_host, dial_port) = detour(options, &host, port);
    let limit = remaining(deadline, options.connect_timeout.unwrap_or(CONNECT));
    // A proxy takes plain requests in absolute form; everything else passes through a tunnel.
    let proxy = ways.proxy_for(&dial_host).filter(|_| !secure);
    let stream = match proxy {
        Some(proxy) => ways.to_proxy(proxy, limit)?,
        None => ways.stream(&dial_host, dial_port, limit)?,
    };
    report.times.connected = began.elapsed();
    (report.remote, report.local) = (stream.peer_addr().ok(), stream.local_addr().ok());
    let said = |observer: &mut Observer<'_>, what: &str| observer.note(what).map_err(broken);
    said(observer, &format!("Connected to {host} port {port}{}", via(ways, &dial_host)))?;
    let clock = Clock { deadline, began };
    clock.set(&stream)?;
    let handle = stream.try_clone().map_err(broken)?;
    let mut stream: Box<dyn Stream> = if secure {
        let secured = tls::connect(stream, &host, options).map_err(|failure| clock.late(failure))?;
        report.times.secured = began.elapsed();
        said(observer, &format!("SSL connection using {}", tls::describe(&secured)))?;
        Box::new(secured)
    } else {
        Box::new(stream)
    };

    let absolute = proxy.map(|proxy| {
        let authority = if dial_host == host && dial_port == port {
            request.url.authority().map_or_else(|| host.clone(), |authority| strip_user(authority.as_str()).to_owned())
        } else {
            format!("{dial_host}:{dial_port}")
        };
        (format!("http://{authority}"), proxy.authorization.clone())
    });
    let (shown, head) = request_head(request, absolute);
    observer.lines('>', &shown).and_then(|()| observer.lines('>', "\r\n")).map_err(broken)?;
    report.request_bytes = shown.len() + 2;
    let body = request.body.as_deref().unwrap_or_default();
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
    // A server that answers early and closes is still to be heard.
    let unsent = sent.err();
    report.sent = body.len();
    said(observer, "Request completely sent off")?;

    let mut reader = BufReader::new(stream);
    let (version, chunked, length) = loop {
        clock.set(&handle)?;
        let head = read_head(&mut reader, &clock, unsent.as_ref())?;
        if report.times.first_byte.is_zero() {
            report.times.first_byte = began.elapsed();
        }
        report.head_bytes += head.len();
        let text = String::from_utf8_lossy(&head).into_owned();
        let parsed = parse_head(&head)?;
        (report.status, report.headers) = (parsed.status, parsed.headers);
        if let Some(step) = report.header(REFUSAL.as_str()) {
            return Err(dial::refused(step, &host, port, began.elapsed()).into());
        }
        observer
            .lines('<', text.trim_end_matches("\r\n"))
            .and_then(|()| observer.lines('<', "\r\n"))
            .map_err(broken)?;
        for out in [&mut observer.head, &mut observer.dump].into_iter().flatten() {
            out.write_all(&head).and_then(|()| out.flush()).map_err(unwritten)?;
        }
        if report.status >= 200 || report.status == 101 {
            let coding =
                report.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
            let length = report.header("content-length").and_then(|value| value.trim().parse::<u64>().ok());
            break (parsed.version, coding, length);
        }
    };
    report.version = version;
    let has_body = request.method != "HEAD" && !matches!(report.status, 101 | 204 | 304);
    if has_body {
        let mut file = sink(report)?;
        let target: &mut dyn Write = match &mut file {
            Some(file) => file,
            None => out,
        };
        let mut body = Body { reader: &mut reader, clock: &clock, handle: &handle, received: &mut report.received };
        body.copy(chunked, length, target)?;
    }
    report.times.total = began.elapsed();
    said(observer, &format!("Connection #0 to host {host}:{port} left intact"))
}

fn via(ways: &Ways, host: &str) -> &'static str {
    if ways.proxy_for(host).is_some() { " through the pod's proxy" } else { "" }
}

/// Host (without brackets), port and whether TLS is spoken.
pub(super) fn target(url: &Uri) -> Result<(String, u16, bool), Failure> {
    let secure = match url.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        other => return Err(Failure::new(1, format!("Protocol \"{}\" not supported", other.unwrap_or_default()))),
    };
    let authority = url.authority().ok_or_else(|| Failure::new(3, "URL rejected: No host part in the URL"))?;
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok((authority.host().trim_matches(['[', ']']).to_owned(), port, secure))
}

fn detour(options: &Options, host: &str, port: u16) -> (String, u16) {
    let fits = options.detours.iter().find(|detour| {
        detour.host.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(host))
            && detour.port.is_none_or(|wanted| wanted == port)
    });
    match fits {
        Some(detour) => (detour.to_host.clone().unwrap_or_else(|| host.to_owned()), detour.to_port.unwrap_or(port)),
        None => (host.to_owned(), port),
    }
}

fn strip_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The head as curl shows it, and as it is sent: to a proxy with a whole URL and the pod's token.
fn request_head(request: &Request<'_>, absolute: Option<(String, Option<String>)>) -> (String, String) {
    let options = request.options;
    let path = request.url.path_and_query().map_or("/", |path| path.as_str());
    let version = if options.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let authority = request.url.authority().map_or("", |authority| strip_user(authority.as_str()));
    let authority = match request.url.scheme_str() {
        Some("http") => authority.strip_suffix(":80").unwrap_or(authority),
        _ => authority.strip_suffix(":443").unwrap_or(authority),
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    add("Host", authority.to_owned());
    let user = options.user.clone().or_else(|| {
        let authority = request.url.authority()?.as_str();
        authority.rsplit_once('@').map(|(user, _)| user.to_owned())
    });
    if let Some(user) = user {
        add("Authorization", format!("Basic {}", BASE64_STANDARD.encode(user)));
    }
    if let Some(range) = &options.range {
        add("Range", format!("bytes={range}"));
    }
    add("User-Agent", options.user_agent.clone().unwrap_or_else(|| USER_AGENT.to_owned()));
    add("Accept", if options.is_json { "application/json" } else { "*/*" }.to_owned());
    if let Some(referer) = &options.referer {
        add("Referer", referer.clone());
    }
    if let Some(cookie) = options.cookie.as_ref().filter(|cookie| cookie.contains('=')) {
        add("Cookie", cookie.clone());
    }
    let own = request.content_type.clone();
    if let Some(body) = &request.body {
        add("Content-Length", body.len().to_string());
        if let Some(kind) = own {
            add("Content-Type", kind);
        }
    }
    // What the user gives replaces what curl would send; `Name:` takes it away, `Name;` sends it empty.
    for line in &options.headers {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name.trim(), Some(value.trim()).filter(|value| !value.is_empty())),
            None => match line.strip_suffix(';') {
                Some(name) => (name, Some("")),
                None => continue,
            },
        };
        let is_own = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
        let place = fields.iter().take(8).position(is_own).filter(|_| !name.eq_ignore_ascii_case("cookie"));
        match (place, value) {
            (Some(at), Some(value)) if name.eq_ignore_ascii_case("host") => {
                fields.remove(at);
                fields.insert(0, (name.to_owned(), value.to_owned()));
            }
            (Some(at), value) => {
                fields.remove(at);
                fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
            }
            (None, Some(value)) => fields.push((name.to_owned(), value.to_owned())),
            (None, None) => {}
        }
    }
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let method = request.method;
    let shown = format!("{method} {path} {version}\r\n{lines}");
    let sent = match absolute {
        Some((origin, authorization)) => {
            let authorization =
                authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
            format!("{method} {origin}{path} {version}\r\n{lines}{authorization}\r\n")
        }
        None => format!("{shown}\r\n"),
    };
    (shown, sent)
}

struct Clock {
    deadline: Option<Instant>,
    began: Instant,
}

impl Clock {
    /// Lets reads and writes take no longer than the whole may.
    fn set(&self, stream: &TcpStream) -> Result<(), Failure> {
        let limit = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if limit.is_some_and(|limit| limit.is_zero()) {
            return Err(self.timed_out(0));
        }
        stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)).map_err(broken)
    }

    fn timed_out(&self, received: u64) -> Failure {
        let after = self.began.elapsed().as_millis();
        Failure::new(28, format!("Operation timed out after {after} milliseconds with {received} bytes received"))
    }

    fn late(&self, failure: Failure) -> Failure {
        let past = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if past { self.timed_out(0) } else { failure }
    }

    fn failed(&self, error: &io::Error, received: u64) -> Failure {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.timed_out(received),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Failure::new(56, "Recv failure: Connection reset by peer")
            }
            _ => Failure::new(56, format!("Recv failure: {error}")),
        }
    }
}

fn remaining(deadline: Option<Instant>, limit: Duration) -> Duration {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.map_or(limit, |left| left.min(limit)).max(Duration::from_millis(1))
}

fn broken(error: io::Error) -> Failure {
    Failure::new(56, format!("Recv failure: {error}"))
}

pub(super) fn unwritten(error: io::Error) -> Failure {
    Failure::new(23, format!("Failure writing output to destination: {error}"))
}

struct ParsedHead {
    status: u16,
    version: &'static str,
    headers: Vec<(String, String)>,
}

fn read_head(reader: &mut impl BufRead, clock: &Clock, unsent: Option<&io::Error>) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let before = head.len();
        let read = reader.take((HEAD - before) as u64).read_until(b'\n', &mut head);
        match (read, unsent) {
            (Ok(0), Some(error)) | (Err(_), Some(error)) if before == 0 => return Err(clock.failed(error, 0)),
            (Ok(0), _) if before == 0 => return Err(Failure::new(52, "Empty reply from server")),
            (Ok(0), _) => return Err(Failure::new(8, "Weird server reply")),
            (Err(error), _) => return Err(clock.failed(&error, 0)),
            (Ok(_), _) if before == 0 && !head.starts_with(b"HTTP/") => {
                return Err(Failure::new(1, "Received HTTP/0.9 when not allowed"));
            }
            (Ok(_), _) => {}
        }
    }
    Ok(head)
}

fn parse_head(head: &[u8]) -> Result<ParsedHead, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let weird = |_| Failure::new(8, "Weird server reply");
    response.parse(head).map_err(weird)?;
    let headers = response
        .headers
        .iter()
        .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    let version = if response.version == Some(0) { "1.0" } else { "1.1" };
    Ok(ParsedHead { status: response.code.unwrap_or(0), version, headers })
}

struct Body<'a, R> {
    reader: &'a mut R,
    clock: &'a Clock,
    handle: &'a TcpStream,
    received: &'a mut u64,
}

impl<R: BufRead> Body<'_, R> {
    fn copy(&mut self, chunked: bool, length: Option<u64>, out: &mut dyn Write) -> Result<(), Failure> {
        let outcome = match (chunked, length) {
            (true, _) => self.chunks(out),
            (false, Some(length)) => self.piece(length, out).and_then(|missing| match missing {
                0 => Ok(()),
                missing => Err(Failure::new(18, format!("end of response with {missing} bytes missing"))),
            }),
            (false, None) => self.piece(u64::MAX, out).map(|_| ()),
        };
        // What came before a failure was received and is shown.
        let flushed = out.flush().map_err(unwritten);
        outcome.and(flushed)
    }

    fn chunks(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let bad = || Failure::new(56, "Malformed encoding found in chunked-encoding");
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| bad())?;
            if size == 0 {
                while !self.line()?.trim().is_empty() {}
                return Ok(());
            }
            if self.piece(size, out)? > 0 || !self.line()?.trim().is_empty() {
                return Err(Failure::new(18, "transfer closed with outstanding read data remaining"));
            }
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        let read = (&mut *self.reader).take(HEAD as u64).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(Failure::new(18, "transfer closed with outstanding read data remaining")),
            Ok(_) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(error) => Err(self.clock.failed(&error, *self.received)),
        }
    }

    /// Copies up to `length` bytes; how many are missing.
    fn piece(&mut self, length: u64, out: &mut dyn Write) -> Result<u64, Failure> {
        let mut left = length;
        while left > 0 {
            self.clock.set(self.handle)?;
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && length == u64::MAX => return Ok(0),
                Err(error) => return Err(self.clock.failed(&error, *self.received)),
            };
            if chunk.is_empty() {
                break;
            }
            let take = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            let part = chunk.get(..take).unwrap_or_default();
            out.write_all(part).and_then(|()| out.flush()).map_err(unwritten)?;
            self.reader.consume(take);
            *self.received += take as u64;
            left -= take as u64;
        }
        Ok(if length == u64::MAX { 0 } else { left })
    }
}
