//! `nginx`: its welcome page, on the ports and with the certificates that a mounted configuration names.
//!
//! Of `/etc/nginx/nginx.conf` and `/etc/nginx/conf.d/*.conf` these directives of a `server` are read: `listen` (a port, `ssl`),
//! `ssl_certificate`, `ssl_certificate_key`, `ssl_client_certificate` and `ssl_verify_client`. Every other one is left out: what is
//! served is the welcome page. Without a configuration it listens on port 80.

use bytes::Bytes;
use http::header::{HeaderValue, SERVER};
use http::{Request, Response, StatusCode};

use super::app::{Port, tls_of_files};
use super::reply;
use crate::runtime::tools::Files;

const MAIN: &str = "/etc/nginx/nginx.conf";
const MORE: &str = "/etc/nginx/conf.d";
/// Longest configuration that is read, in bytes.
const LENGTH: u64 = 1 << 20;
const ALPN: &[&[u8]] = &[b"http/1.1"];

const WELCOME: &str = "<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page comes from mesh's built-in runtime, which runs no images: it answers in nginx's place.</p>
</body>
</html>
";

pub(super) fn handle(request: &Request<Bytes>) -> Response<Bytes> {
    let mut response = match request.uri().path() {
        "/" | "/index.html" => reply::html(WELCOME.to_owned()),
        _ => {
            let page = "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<center><h1>404 Not Found</h1></center>\n\
                        <hr><center>nginx</center>\n</body>\n</html>\n";
            let mut response = reply::html(page.to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    response.headers_mut().insert(SERVER, HeaderValue::from_static("nginx"));
    response
}

/// The ports that the container's configuration names; none where it has none.
pub(super) fn listens() -> Result<Vec<Port>, String> {
    let files = Files::of_environment();
    let mut paths = vec![files.outside(MAIN)];
    let more = std::fs::read_dir(files.outside(MORE)).into_iter().flatten().filter_map(Result::ok);
    paths.extend(more.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "conf")));
    paths.sort();
    let mut ports: Vec<Port> = Vec::new();
    for path in paths {
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LENGTH);
        let Some(text) = is_small.then(|| std::fs::read_to_string(&path).ok()).flatten() else { continue };
        for server in servers(&text) {
            for (number, secure) in &server.listens {
                if ports.iter().any(|known| known.number == *number) {
                    continue;
                }
                let tls = if *secure { Some(server.tls()?) } else { None };
                ports.push(Port { number: *number, tls });
            }
        }
    }
    Ok(ports)
}

/// What is read of a `server`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    /// Ports, and whether they speak TLS.
    listens: Vec<(u16, bool)>,
    chain: Option<String>,
    key: Option<String>,
    authorities: Option<String>,
    verifies: bool,
}

impl Server {
    fn tls(&self) -> Result<std::sync::Arc<rustls::ServerConfig>, String> {
        match (&self.chain, &self.key) {
            (Some(chain), Some(key)) => {
                tls_of_files(chain, key, self.authorities.as_deref().filter(|_| self.verifies), ALPN)
            }
            _ => Err("listen … ssl needs ssl_certificate and ssl_certificate_key".to_owned()),
        }
    }
}

/// The servers of a configuration, wherever their blocks are.
fn servers(text: &str) -> Vec<Server> {
    let mut servers = Vec::new();
    // The blocks around the place that is read, by name.
    let mut blocks: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for word in words_of(text) {
        match word.as_str() {
            "{" => {
                let name = words.drain(..).next().unwrap_or_default();
                if name == "server" {
                    servers.push(Server::default());
                }
                blocks.push(name);
            }
            "}" => {
                blocks.pop();
                words.clear();
            }
            ";" => {
                if blocks.last().is_some_and(|block| block == "server")
                    && let Some(server) = servers.last_mut()
                {
                    server.take(&words);
                }
                words.clear();
            }
            _ => words.push(word),
        }
    }
    servers
}

impl Server {
    fn take(&mut self, directive: &[String]) {
        let words: Vec<&str> = directive.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["listen", address, options @ ..] => {
                let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                let port = port.filter(|port| *port != 0);
                self.listens.extend(port.map(|port| (port, options.contains(&"ssl"))));
            }
            ["ssl_certificate", path] => self.chain = Some((*path).to_owned()),
            ["ssl_certificate_key", path] => self.key = Some((*path).to_owned()),
            ["ssl_client_certificate", path] => self.authorities = Some((*path).to_owned()),
            ["ssl_verify_client", how] => self.verifies = *how != "off",
            _ => {}
        }
    }
}

/// Words, and `{`, `}` and `;` as words of their own. Quotes keep a word together; `#` begins a comment.
fn words_of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => quote = Some(c),
            ('#', None) if word.is_empty() => {
                letters.by_ref().find(|c| *c == '\n');
            }
            ('{' | '}' | ';', None) => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.push(c.to_string());
            }
            (c, None) if c.is_whitespace() => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (c, None) => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_certificates_of_servers_are_read() {
        let text = "events {\n}\nhttp { # a comment; with { signs\n log_format main '$remote_addr - \"$request\"; {';\n\
                    server { listen 443 ssl; listen [::]:80; server_name a b;\n ssl_certificate /c.pem; \
                    ssl_certificate_key \"/k.pem\"; ssl_client_certificate /ca.pem; ssl_verify_client on;\n\
                    location / { root /x; listen 9; } }\n server { listen 127.0.0.1:8080 default_server; listen unix:/x; } }";
        let [first, second] = &servers(text)[..] else { panic!("{:?}", servers(text)) };
        assert_eq!(first.listens, [(443, true), (80, false)]);
        assert_eq!((first.chain.as_deref(), first.key.as_deref()), (Some("/c.pem"), Some("/k.pem")));
        assert!(first.verifies && first.authorities.as_deref() == Some("/ca.pem"));
        assert_eq!(*second, Server { listens: vec![(8080, false)], ..Server::default() });
        assert_eq!(servers("server { listen"), [Server::default()]);
    }
}
