//! `mesh await-proxy`: waits until the proxy of this pod is ready. A classic sidecar's container is followed by the others once
//! this has ended, so it is in no help text.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::cli::error::{CliError, CliResult, Kind};

/// How often the proxy is asked.
const PERIOD: Duration = Duration::from_millis(200);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// Wait until the proxy of the pod around this process is ready
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The proxy's port that says so
    #[arg(long, default_value_t = 15021, value_name = "PORT")]
    port: u16,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

/// Waits.
pub fn run(args: &Args) -> CliResult {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    loop {
        let answer = ask(address);
        if matches!(&answer, Ok(head) if head.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let said =
                answer.map_or_else(|error| error.to_string(), |head| head.lines().last().unwrap_or("").to_owned());
            let what = format!("the proxy was not ready within {} s: {said}", args.timeout);
            return Err(CliError::message(Kind::Failed, what));
        }
        std::thread::sleep(PERIOD);
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /healthz/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
