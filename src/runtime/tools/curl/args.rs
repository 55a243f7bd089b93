//! curl's command line, in one table.

use std::time::Duration;

use percent_encoding::percent_encode;

use crate::runtime::samples::RESERVED;
use crate::runtime::tools::Call;
use crate::runtime::tools::dial::{DialError, Proxy};

/// Why there is no transfer: curl's exit code, and what it says.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let code = match &error {
            DialError::Resolve(_) => 6,
            DialError::Connect { .. } => 7,
            DialError::Late { .. } => 28,
            DialError::Proxy(_) => 56,
            DialError::BadProxy(_) => 5,
        };
        Self::new(code, error)
    }
}

/// Where a response's body goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sink {
    Out,
    File(String),
    /// Named by the URL's last part.
    Remote,
}

/// `--resolve`, `--connect-to`: what a host and port are reached at. `None` fits anything.
#[derive(Debug, Clone)]
pub(super) struct Detour {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) to_host: Option<String>,
    pub(super) to_port: Option<u16>,
}

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) urls: Vec<String>,
    pub(super) sinks: Vec<Sink>,
    pub(super) silent: bool,
    pub(super) show_error: bool,
    pub(super) verbose: bool,
    pub(super) include: bool,
    pub(super) head: bool,
    pub(super) get: bool,
    pub(super) insecure: bool,
    pub(super) fail: bool,
    pub(super) fail_with_body: bool,
    pub(super) follow: bool,
    pub(super) http10: bool,
    pub(super) no_proxy: bool,
    pub(super) retry_refused: bool,
    pub(super) retry_all: bool,
    pub(super) create_dirs: bool,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) data: Option<Vec<u8>>,
    pub(super) is_json: bool,
    pub(super) form: Vec<(String, String)>,
    pub(super) upload: Option<String>,
    pub(super) write_out: Option<String>,
    pub(super) dump_header: Option<String>,
    pub(super) user: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) referer: Option<String>,
    pub(super) cookie: Option<String>,
    pub(super) range: Option<String>,
    pub(super) max_time: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) max_redirects: Option<u32>,
    pub(super) retries: u32,
    pub(super) retry_delay: Option<Duration>,
    pub(super) detours: Vec<Detour>,
    pub(super) proxy: Option<Proxy>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    /// `--version`, `--help`
    pub(super) about: Option<&'static str>,
}

type Set = fn(&mut Options, &mut Call<'_>, String) -> Result<(), Failure>;

enum Effect {
    Flag(fn(&mut Options)),
    Text(fn(&mut Options, String)),
    Value(Set),
}

impl Effect {
    fn apply(&self, options: &mut Options, call: &mut Call<'_>, value: String) -> Result<(), Failure> {
        match self {
            Self::Flag(act) => act(options),
            Self::Text(act) => act(options, value),
            Self::Value(act) => act(options, call, value)?,
        }
        Ok(())
    }
}

/// Short name (or a space), long names, effect.
type Row = (char, &'static [&'static str], Effect);

use Effect::{Flag, Text, Value};

const IGNORED: Effect = Flag(|_| {});
const IGNORED_VALUE: Effect = Text(|_, _| {});

static TABLE: &[Row] = &[
    ('s', &["silent"], Flag(|o| o.silent = true)),
    ('S', &["show-error"], Flag(|o| o.show_error = true)),
    ('v', &["verbose"], Flag(|o| o.verbose = true)),
    ('i', &["include", "show-headers"], Flag(|o| o.include = true)),
    ('I', &["head"], Flag(|o| o.head = true)),
    ('G', &["get"], Flag(|o| o.get = true)),
    ('k', &["insecure"], Flag(|o| o.insecure = true)),
    ('f', &["fail"], Flag(|o| o.fail = true)),
    (' ', &["fail-with-body"], Flag(|o| o.fail_with_body = true)),
    ('L', &["location"], Flag(|o| o.follow = true)),
    ('0', &["http1.0"], Flag(|o| o.http10 = true)),
    ('O', &["remote-name"], Flag(|o| o.sinks.push(Sink::Remote))),
    (' ', &["create-dirs"], Flag(|o| o.create_dirs = true)),
    (' ', &["retry-connrefused"], Flag(|o| o.retry_refused = true)),
    (' ', &["retry-all-errors"], Flag(|o| o.retry_all = true)),
    ('V', &["version"], Flag(|o| o.about = Some("version"))),
    ('h', &["help"], Flag(|o| o.about = Some("help"))),
    ('N', &["no-buffer"], IGNORED),
    ('g', &["globoff"], IGNORED),
    ('#', &["progress-bar"], IGNORED),
    ('4', &["ipv4"], IGNORED),
    ('6', &["ipv6"], IGNORED),
    ('p', &["proxytunnel"], IGNORED),
    ('q', &["disable"], IGNORED),
    (' ', &["no-progress-meter", "http1.1", "http2", "path-as-is", "compressed", "tcp-nodelay"], IGNORED),
    (' ', &["no-keepalive", "tlsv1.2", "tlsv1.3", "ssl-reqd", "anyauth", "basic", "raw", "fail-early"], IGNORED),
    ('o', &["output"], Text(|o, v| o.sinks.push(if v == "-" { Sink::Out } else { Sink::File(v) }))),
    (
        'w',
        &["write-out"],
        Value(|o, c, v| {
            o.write_out = Some(text(c, &v)?);
            Ok(())
        }),
    ),
    ('D', &["dump-header"], Text(|o, v| o.dump_header = Some(v))),
    (
        'H',
        &["header"],
        Value(|o, c, v| {
            o.headers.extend(header_lines(c, &v)?);
            Ok(())
        }),
    ),
    ('X', &["request"], Text(|o, v| o.method = Some(v))),
    ('d', &["data", "data-ascii"], Value(|o, c, v| body(o, c, &v, true))),
    (' ', &["data-binary"], Value(|o, c, v| body(o, c, &v, false))),
    (' ', &["data-raw"], Text(|o, v| append(o, v.into_bytes()))),
    (
        ' ',
        &["data-urlencode"],
        Value(|o, c, v| {
            append(o, encoded(c, &v)?);
            Ok(())
        }),
    ),
    (
        ' ',
        &["json"],
        Value(|o, c, v| {
            o.is_json = true;
            body(o, c, &v, false)
        }),
    ),
    (
        'F',
        &["form", "form-string"],
        Value(|o, _, v| {
            let (name, value) = v.split_once('=').ok_or_else(|| Failure::new(2, "-F needs name=content"))?;
            o.form.push((name.to_owned(), value.to_owned()));
            Ok(())
        }),
    ),
    ('T', &["upload-file"], Text(|o, v| o.upload = Some(v))),
    ('u', &["user"], Text(|o, v| o.user = Some(v))),
    ('A', &["user-agent"], Text(|o, v| o.user_agent = Some(v))),
    ('e', &["referer"], Text(|o, v| o.referer = Some(v))),
    ('b', &["cookie"], Text(|o, v| o.cookie = Some(v))),
    ('c', &["cookie-jar"], IGNORED_VALUE),
    ('r', &["range"], Text(|o, v| o.range = Some(v))),
    (
        'm',
        &["max-time"],
        Value(|o, _, v| {
            o.max_time = Some(seconds(&v)?);
            Ok(())
        }),
    ),
    (
        ' ',
        &["connect-timeout"],
        Value(|o, _, v| {
            o.connect_timeout = Some(seconds(&v)?);
            Ok(())
        }),
    ),
    (
        ' ',
        &["max-redirs"],
        Value(|o, _, v| {
            o.max_redirects = u32::try_from(number(&v)?).ok();
            Ok(())
        }),
    ),
    (
        ' ',
        &["retry"],
        Value(|o, _, v| {
            o.retries = u32::try_from(number(&v)?).unwrap_or(0);
            Ok(())
        }),
    ),
    (
        ' ',
        &["retry-delay"],
        Value(|o, _, v| {
            o.retry_delay = Some(seconds(&v)?);
            Ok(())
        }),
    ),
    (' ', &["retry-max-time", "limit-rate", "keepalive-time", "ciphers", "curves", "noproxy"], IGNORED_VALUE),
    (
        ' ',
        &["resolve"],
        Value(|o, _, v| {
            o.detours.push(resolve(&v)?);
            Ok(())
        }),
    ),
    (
        ' ',
        &["connect-to"],
        Value(|o, _, v| {
            o.detours.push(connect_to(&v)?);
            Ok(())
        }),
    ),
    (
        'x',
        &["proxy"],
        Value(|o, _, v| {
            if v.is_empty() {
                o.no_proxy = true;
            } else {
                o.proxy = Some(Proxy::parse(&v)?);
            }
            Ok(())
        }),
    ),
    (' ', &["cacert"], Text(|o, v| o.ca = Some(v))),
    ('E', &["cert"], Text(|o, v| o.certificate = Some(v))),
    (' ', &["key"], Text(|o, v| o.key = Some(v))),
    (' ', &["url"], Text(|o, v| o.urls.push(v))),
];

/// Reads the command line.
pub(super) fn parse(call: &mut Call<'_>) -> Result<Options, Failure> {
    let mut options = Options::default();
    let args = call.args;
    let mut rest = args.iter();
    let needs = |name: &str| Failure::new(2, format!("option {name}: requires parameter"));
    let mut only_urls = false;
    while let Some(word) = rest.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            options.urls.push(word.clone());
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            match row(|(_, names, _)| names.contains(&long)) {
                Some((_, _, Flag(act))) => act(&mut options),
                Some((_, _, effect)) => {
                    let value = rest.next().cloned().ok_or_else(|| needs(word))?;
                    effect.apply(&mut options, call, value)?;
                }
                None => return Err(unknown(word)),
            }
        } else {
            let flags = word.get(1..).unwrap_or_default();
            for (at, flag) in flags.char_indices() {
                match row(|(short, _, _)| *short == flag && flag != ' ') {
                    Some((_, _, Flag(act))) => act(&mut options),
                    Some((_, _, effect)) => {
                        let inline = flags.get(at + flag.len_utf8()..).filter(|text| !text.is_empty());
                        let value = inline.map(str::to_owned).or_else(|| rest.next().cloned());
                        effect.apply(&mut options, call, value.ok_or_else(|| needs(word))?)?;
                        break;
                    }
                    None => return Err(unknown(&format!("-{flag}"))),
                }
            }
        }
    }
    Ok(options)
}

fn row(wanted: impl Fn(&Row) -> bool) -> Option<&'static Row> {
    TABLE.iter().find(|row| wanted(row))
}

fn unknown(option: &str) -> Failure {
    Failure::new(2, format!("option {option}: is unknown"))
}

fn seconds(text: &str) -> Result<Duration, Failure> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| Failure::new(2, format!("{text}: expected a proper numerical parameter")))
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::new(2, format!("{text}: expected a proper numerical parameter")))
}

/// A value, or with `@` the content of a file (`@-`: standard input).
fn text(call: &mut Call<'_>, value: &str) -> Result<String, Failure> {
    match value.strip_prefix('@') {
        Some(path) => Ok(String::from_utf8_lossy(&read(call, path)?).into_owned()),
        None => Ok(value.to_owned()),
    }
}

/// Largest body that is sent.
const BODY: u64 = 256 << 20;

pub(super) fn read(call: &mut Call<'_>, path: &str) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = if path == "-" {
        call.input.take(BODY).read_to_end(&mut bytes)
    } else {
        call.files.open(path).and_then(|file| file.take(BODY).read_to_end(&mut bytes))
    };
    read.map_err(|_| Failure::new(26, format!("Failed to open {path}")))?;
    Ok(bytes)
}

fn header_lines(call: &mut Call<'_>, value: &str) -> Result<Vec<String>, Failure> {
    match value.strip_prefix('@') {
        Some(_) => Ok(text(call, value)?.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()),
        None => Ok(vec![value.to_owned()]),
    }
}

fn append(options: &mut Options, more: Vec<u8>) {
    match &mut options.data {
        Some(data) => {
            if !options.is_json {
                data.push(b'&');
            }
            data.extend(more);
        }
        None => options.data = Some(more),
    }
}

fn body(options: &mut Options, call: &mut Call<'_>, value: &str, strip: bool) -> Result<(), Failure> {
    let mut bytes = match value.strip_prefix('@') {
        Some(path) => read(call, path)?,
        None => value.as_bytes().to_vec(),
    };
    if strip && value.starts_with('@') {
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    }
    append(options, bytes);
    Ok(())
}

fn encoded(call: &mut Call<'_>, value: &str) -> Result<Vec<u8>, Failure> {
    let (name, content) = match value.find(['=', '@']) {
        Some(at) => {
            let (name, content) = value.split_at(at);
            let text = match content.strip_prefix('@') {
                Some(path) => read(call, path)?,
                None => content.as_bytes().get(1..).unwrap_or_default().to_vec(),
            };
            (name, text)
        }
        None => ("", value.as_bytes().to_vec()),
    };
    let mut out = if name.is_empty() { Vec::new() } else { format!("{name}=").into_bytes() };
    out.extend(percent_encode(&content, RESERVED).to_string().bytes());
    Ok(out)
}

/// `host:port:address`
fn resolve(text: &str) -> Result<Detour, Failure> {
    let bad = || Failure::new(49, format!("Couldn't parse CURLOPT_RESOLVE entry '{text}'"));
    let mut parts = text.trim_start_matches('+').splitn(3, ':');
    let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(bad());
    };
    let address = address.split(',').next().unwrap_or_default().trim_matches(['[', ']']);
    Ok(Detour {
        host: Some(host.to_owned()).filter(|host| host != "*"),
        port: Some(port.parse().map_err(|_| bad())?),
        to_host: Some(address.to_owned()).filter(|address| !address.is_empty()),
        to_port: None,
    })
}

/// `host:port:to-host:to-port`
fn connect_to(text: &str) -> Result<Detour, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let [host, port, to_host, to_port] = parts.as_slice() else {
        return Err(Failure::new(49, format!("Couldn't parse CURLOPT_CONNECT_TO entry '{text}'")));
    };
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(Detour { host: given(host), port: port.parse().ok(), to_host: given(to_host), to_port: to_port.parse().ok() })
}
