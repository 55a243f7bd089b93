//! `curl`, as guides type it, and what of `wget` they use.
//!
//! HTTP/1.1 with and without TLS, through the pod's proxy as an app's requests go. Exit codes, messages and what is written where are
//! curl's. HTTP/2 is not spoken: options that ask for it are taken and HTTP/1.1 is used.

mod args;
mod exchange;
mod report;
mod tls;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::Uri;

use self::args::{Failure, Options, Sink};
use self::exchange::{Observer, Report, Request};
use super::dial::Ways;
use super::{Call, Files};

/// Redirects that are followed where `--max-redirs` does not say.
const REDIRECTS: u32 = 50;
/// Longest pause between retries.
const RETRY_LIMIT: Duration = Duration::from_secs(600);

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let options = match args::parse(call) {
        Ok(options) => options,
        Err(failure) => {
            writeln!(call.err, "curl: {}", failure.message)?;
            writeln!(call.err, "curl: try 'curl --help' for more information")?;
            return Ok(failure.code);
        }
    };
    if let Some(about) = options.about {
        writeln!(call.out, "curl 8.16.0 (mesh) built into the mesh runtime\nProtocols: http https")?;
        if about == "help" {
            writeln!(call.out, "Usage: curl [options...] <url>")?;
        }
        return Ok(0);
    }
    transfer_all(call, &options)
}

fn transfer_all(call: &mut Call<'_>, options: &Options) -> io::Result<u8> {
    if options.urls.is_empty() {
        writeln!(call.err, "curl: (2) no URL specified\ncurl: try 'curl --help' for more information")?;
        return Ok(2);
    }
    let mut code = 0;
    let mut sinks = options.sinks.iter();
    for given in &options.urls {
        let sink = sinks.next().cloned().unwrap_or(Sink::Out);
        for url in globs(given) {
            code = transfer(call, options, &url, &sink)?;
        }
    }
    Ok(code)
}

/// `{a,b}` and `[1-3]` in URLs: every URL that they stand for.
fn globs(url: &str) -> Vec<String> {
    const LIMIT: usize = 10_000;
    let expand = |open: char, close: char| {
        let (head, rest) = url.split_once(open)?;
        let (inner, tail) = rest.split_once(close)?;
        Some((head, inner, tail))
    };
    let combine = |head: &str, parts: Vec<String>, tail: &str| -> Vec<String> {
        let all = parts.iter().flat_map(|part| globs(&format!("{head}{part}{tail}")));
        all.take(LIMIT).collect()
    };
    if let Some((head, inner, tail)) = expand('{', '}') {
        return combine(head, inner.split(',').map(str::to_owned).collect(), tail);
    }
    if let Some((head, inner, tail)) = expand('[', ']')
        && let Some((from, to)) = inner.split_once('-')
        && let (Ok(from), Ok(to)) = (from.parse::<u32>(), to.parse::<u32>())
    {
        return combine(head, (from..=to).take(LIMIT).map(|number| number.to_string()).collect(), tail);
    }
    vec![url.to_owned()]
}

/// One URL, with its redirects and retries.
fn transfer(call: &mut Call<'_>, options: &Options, url: &str, sink: &Sink) -> io::Result<u8> {
    let mut pause = Duration::from_secs(1);
    let mut attempts = 0;
    loop {
        let (mut report, mut done) = (Report::default(), Done::new(url));
        let outcome = attempt(call, options, sink, &mut report, &mut done);
        let again = match &outcome {
            Err(failure) => failure.code == 28 || options.retry_all || (failure.code == 7 && options.retry_refused),
            Ok(()) => matches!(report.status, 408 | 429 | 500 | 502 | 503 | 504),
        };
        if again && attempts < options.retries {
            attempts += 1;
            let pause_now = options.retry_delay.unwrap_or(pause);
            if !options.silent {
                let left = options.retries - attempts;
                writeln!(
                    call.err,
                    "Warning: Problem. Will retry in {} second(s). {left} retries left.",
                    pause_now.as_secs()
                )?;
            }
            std::thread::sleep(pause_now);
            pause = (pause * 2).min(RETRY_LIMIT);
            continue;
        }
        let failed = report.status >= 400 && (options.fail || options.fail_with_body);
        let failure = match outcome {
            Err(failure) => Some(failure),
            Ok(()) if failed => Some(Failure::new(22, format!("The requested URL returned error: {}", report.status))),
            Ok(()) => None,
        };
        if let Some(failure) = &failure {
            report.times.total = done.began.elapsed();
            if options.verbose {
                writeln!(call.err, "* closing connection #0")?;
            }
            if !options.silent || options.show_error {
                writeln!(call.err, "curl: ({}) {}", failure.code, failure.message)?;
            }
        }
        if let Some(format) = &options.write_out {
            let text = report::format(format, &report, &done, failure.as_ref());
            call.out.write_all(text.out.as_bytes())?;
            call.err.write_all(text.err.as_bytes())?;
        }
        call.out.flush()?;
        return Ok(failure.map_or(0, |failure| failure.code));
    }
}

/// What a transfer came through.
pub(super) struct Done {
    began: Instant,
    /// As it was given, and as it was asked for last.
    given: String,
    url: String,
    method: String,
    redirects: u32,
    redirect: Option<String>,
}

impl Done {
    fn new(url: &str) -> Self {
        Self {
            began: Instant::now(),
            given: url.to_owned(),
            url: url.to_owned(),
            method: String::new(),
            redirects: 0,
            redirect: None,
        }
    }
}

fn attempt(
    call: &mut Call<'_>,
    options: &Options,
    sink: &Sink,
    report: &mut Report,
    done: &mut Done,
) -> Result<(), Failure> {
    let ways = ways(options)?;
    let mut url = read_url(&done.given)?;
    let (mut body, mut content_type) = payload(call, options)?;
    if options.get
        && let Some(data) = body.take()
    {
        let joint = if url.query().is_some() { '&' } else { '?' };
        url = read_url(&format!("{url}{joint}{}", String::from_utf8_lossy(&data)))?;
        content_type = None;
    }
    if let Some(path) = &options.upload
        && url.path().ends_with('/')
    {
        url = read_url(&format!("{url}{}", super::base_name(path)))?;
    }
    let mut method = match (&options.method, options.head, options.upload.is_some(), body.is_some()) {
        (Some(method), ..) => method.clone(),
        (None, true, ..) => "HEAD".to_owned(),
        (None, false, true, _) => "PUT".to_owned(),
        (None, false, false, true) => "POST".to_owned(),
        _ => "GET".to_owned(),
    };
    let mut dump = match &options.dump_header {
        Some(path) if path == "-" => None,
        Some(path) => Some(call.files.create(path, false).map_err(exchange::unwritten)?),
        None => None,
    };
    loop {
        (done.url, done.method) = (url.to_string(), method.clone());
        *report = Report::default();
        let request = Request {
            options,
            method: &method,
            url: url.clone(),
            body: body.clone(),
            content_type: content_type.clone(),
        };
        // Heads and bodies share standard output, each while the other rests.
        let mut head = Vec::new();
        let shows_head = options.include || options.head || options.dump_header.as_deref() == Some("-");
        let shared = std::cell::RefCell::new(&mut head);
        let mut head_writer = Shared(&shared);
        let mut observer = Observer {
            verbose: options.verbose.then_some(&mut *call.err),
            head: shows_head.then_some(&mut head_writer as &mut dyn Write),
            dump: dump.as_mut().map(|file| file as &mut dyn Write),
        };
        let mut out = HeadFirst { head: &shared, out: &mut *call.out };
        let follow = |report: &Report| options.follow && location(report).is_some();
        let files = call.files;
        let outcome = exchange::run(
            &request,
            &ways,
            report,
            &mut observer,
            done.began,
            |report| {
                if follow(report) || (report.status >= 400 && options.fail) {
                    return Ok(Some(Box::new(io::sink())));
                }
                open(files, options, sink, &request.url)
            },
            &mut out,
        );
        out.finish().map_err(exchange::unwritten)?;
        outcome?;
        let next = location(report).map(|to| absolute(&url, to)).transpose()?;
        done.redirect = next.as_ref().map(ToString::to_string);
        let Some(next) = next.filter(|_| options.follow) else { return Ok(()) };
        done.redirects += 1;
        if done.redirects > options.max_redirects.unwrap_or(REDIRECTS) {
            let limit = options.max_redirects.unwrap_or(REDIRECTS);
            return Err(Failure::new(47, format!("Maximum ({limit}) redirects followed")));
        }
        if (report.status == 303 && method != "HEAD") || (matches!(report.status, 301 | 302) && method == "POST") {
            if options.method.is_none() {
                "GET".clone_into(&mut method);
            }
            (body, content_type) = (None, None);
        }
        url = next;
    }
}

/// Collects a head until it is known where it goes.
struct Shared<'a, 'b>(&'a std::cell::RefCell<&'b mut Vec<u8>>);

impl Write for Shared<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what was collected before what follows.
struct HeadFirst<'a, 'b, 'c> {
    head: &'a std::cell::RefCell<&'b mut Vec<u8>>,
    out: &'c mut dyn Write,
}

impl HeadFirst<'_, '_, '_> {
    fn finish(&mut self) -> io::Result<()> {
        let head = std::mem::take(&mut **self.head.borrow_mut());
        self.out.write_all(&head)
    }
}

impl Write for HeadFirst<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.finish()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.finish()?;
        self.out.flush()
    }
}

fn ways(options: &Options) -> Result<Ways, Failure> {
    let ways = Ways::of_environment()?;
    Ok(match (&options.proxy, options.no_proxy) {
        (Some(proxy), _) => ways.through(proxy.clone()),
        (None, true) => ways.direct(),
        (None, false) => ways,
    })
}

/// The body to send and its type.
fn payload(call: &mut Call<'_>, options: &Options) -> Result<(Option<Vec<u8>>, Option<String>), Failure> {
    if let Some(path) = &options.upload {
        return Ok((Some(args::read(call, path)?), None));
    }
    if !options.form.is_empty() {
        let boundary = format!("------------------------{:016x}", u64::from(super::net::random()));
        let mut body = Vec::new();
        for (name, value) in &options.form {
            let (content, file) = match value.strip_prefix('@') {
                Some(path) => (args::read(call, path)?, format!("; filename=\"{}\"", super::base_name(path))),
                None => (value.as_bytes().to_vec(), String::new()),
            };
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend(head.bytes().chain(content).chain(*b"\r\n"));
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        return Ok((Some(body), Some(format!("multipart/form-data; boundary={boundary}"))));
    }
    let kind = if options.is_json { "application/json" } else { "application/x-www-form-urlencoded" };
    Ok(match &options.data {
        Some(data) => (Some(data.clone()), Some(kind.to_owned())),
        None => (None, None),
    })
}

fn read_url(given: &str) -> Result<Uri, Failure> {
    let given = given.split('#').next().unwrap_or_default();
    let text = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let text = text.replace(' ', "%20");
    let bad = || Failure::new(3, "URL rejected: Malformed input to a URL function");
    let mut url: Uri = text.parse().map_err(|_| bad())?;
    if url.path().is_empty() {
        url = format!("{text}/").parse().map_err(|_| bad())?;
    }
    exchange::target(&url)?;
    Ok(url)
}

fn location(report: &Report) -> Option<&str> {
    matches!(report.status, 301 | 302 | 303 | 307 | 308).then(|| report.header("location")).flatten()
}

/// A redirect's target, which may be relative.
fn absolute(from: &Uri, to: &str) -> Result<Uri, Failure> {
    let scheme = from.scheme_str().unwrap_or("http");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    if to.contains("://") {
        read_url(to)
    } else if to.starts_with("//") {
        read_url(&format!("{scheme}:{to}"))
    } else if to.starts_with('/') {
        read_url(&format!("{scheme}://{authority}{to}"))
    } else {
        let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        read_url(&format!("{scheme}://{authority}{directory}/{to}"))
    }
}

fn open(files: &Files, options: &Options, sink: &Sink, url: &Uri) -> Result<Option<Box<dyn Write>>, Failure> {
    let path = match sink {
        Sink::Out => return Ok(None),
        Sink::File(path) => path.clone(),
        Sink::Remote => match url.path().rsplit('/').next().filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => return Err(Failure::new(23, "Remote file name has no length")),
        },
    };
    if files.is_null(&path) {
        return Ok(Some(Box::new(io::sink())));
    }
    if options.create_dirs
        && let Some(parent) = files.outside(&path).parent()
    {
        std::fs::create_dir_all(parent).map_err(exchange::unwritten)?;
    }
    let file = files.create(&path, false).map_err(exchange::unwritten)?;
    Ok(Some(Box::new(io::BufWriter::new(file))))
}

/// `podcli check http URL`, podinfo's own probe.
pub(super) fn podcli(call: &mut Call<'_>) -> io::Result<u8> {
    let [check, kind, url] = call.args else { return call.usage(2, "podcli check http URL") };
    if check != "check" || kind != "http" {
        return call.usage(2, format_args!("{check} {kind} is not built in; there is check http"));
    }
    let options = Options {
        fail: true,
        silent: true,
        show_error: true,
        urls: vec![url.clone()],
        sinks: vec![Sink::File("/dev/null".to_owned())],
        ..Options::default()
    };
    Ok(u8::from(transfer_all(call, &options)? != 0))
}

/// `wget [-q] [-O FILE] [-S] [--header H] [--post-data D] [-T SECONDS] [--spider] URL…`, in curl's words.
pub(super) fn wget(call: &mut Call<'_>) -> io::Result<u8> {
    let mut options = Options { follow: true, fail: true, show_error: true, silent: true, ..Options::default() };
    options.user_agent = Some("Wget".to_owned());
    let (mut output, mut quiet) = (None, false);
    let mut rest = call.args.iter();
    while let Some(word) = rest.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = || inline.clone().or_else(|| rest.next().cloned()).unwrap_or_default();
        match name {
            "-q" | "--quiet" => quiet = true,
            "-S" | "--server-response" => options.verbose = true,
            "--spider" => options.head = true,
            "--no-check-certificate" => options.insecure = true,
            "-O" | "--output-document" => output = Some(value()),
            "-qO-" | "-O-" => (quiet, output) = (quiet || name == "-qO-", Some("-".to_owned())),
            "-qO" => (quiet, output) = (true, Some(value())),
            "--header" => options.headers.push(value()),
            "--post-data" => options.data = Some(value().into_bytes()),
            "-T" | "--timeout" => options.max_time = value().parse().ok().map(Duration::from_secs),
            "-t" | "--tries" => options.retries = value().parse::<u32>().unwrap_or(1).saturating_sub(1),
            "-U" | "--user-agent" => options.user_agent = Some(value()),
            "-nv" | "-c" | "--no-verbose" => {}
            other if other.starts_with('-') => return call.usage(2, format_args!("{other} is not built in")),
            url => options.urls.push(url.to_owned()),
        }
    }
    options.sinks = match output.as_deref() {
        Some("-") => vec![Sink::Out],
        Some(path) => vec![Sink::File(path.to_owned())],
        None if options.head => vec![Sink::Out],
        None => options.urls.iter().map(|url| index_html(url)).collect(),
    };
    let mut ignored = io::sink();
    let mut inner = Call {
        name: "wget",
        args: &[],
        files: call.files,
        launch: call.launch,
        input: &mut *call.input,
        out: &mut *call.out,
        err: if quiet { &mut ignored } else { &mut *call.err },
    };
    Ok(u8::from(transfer_all(&mut inner, &options)? != 0))
}

fn index_html(url: &str) -> Sink {
    let path = read_url(url).map(|url| url.path().to_owned()).unwrap_or_default();
    if path.ends_with('/') { Sink::File("index.html".to_owned()) } else { Sink::Remote }
}
