//! h2spec, the conformance tests of HTTP/2, against a gateway. Skipped where there is no `h2spec`
//! (`go install github.com/summerwind/h2spec/cmd/h2spec@latest`).

use std::process::Command;

use crate::harness::stdout;
use crate::reload::{Gateway, Site};

/// What a port without TLS fails, and why: it speaks HTTP/1.1 as well, so what does not begin with the preface of HTTP/2 is a
/// malformed request of HTTP/1.1, and is answered with 400 before the connection ends.
const AMBIGUOUS: &[&str] = &["2: Sends invalid connection preface"];

/// The tests that fail; `None` where there is no h2spec.
fn failures(options: &[&str], port: u16) -> Option<Vec<String>> {
    let run = Command::new("h2spec").args(options).args(["-o", "5", "-p", &port.to_string()]).output().ok()?;
    let said = stdout(&run);
    let passed = said.lines().rev().find(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("{said}"));
    println!("{passed}");
    let (_, failures) = said.split_once("Failures:").unwrap_or((said.as_str(), ""));
    Some(failures.lines().filter_map(|line| line.split_once("× ")).map(|(_, test)| test.trim().to_owned()).collect())
}

#[test]
fn a_gateway_speaks_http2_as_it_is_written() {
    let site = Site::new();
    let _gateway = Gateway::start(&site.text(0), &[]);
    site.is_open();
    let Some(plain) = failures(&["-h", "127.0.0.1"], site.plain) else {
        println!("skipped: there is no h2spec");
        return;
    };
    assert!(plain.iter().all(|test| AMBIGUOUS.contains(&test.as_str())), "{plain:#?}");
    let secure = failures(&["-t", "-k", "-h", "localhost"], site.secure);
    assert_eq!(secure.as_deref(), Some(&[][..]));
}
