//! `nc`: bytes to a host and port.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::Call;
use super::dial::Ways;

/// Time for a connection where `-w` does not say.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer is waited for after the input ended, where `-w` does not say.
const LINGER: Duration = Duration::from_secs(5);

pub(super) fn nc(call: &mut Call<'_>) -> io::Result<u8> {
    let (mut scan, mut verbose, mut wait, mut words) = (false, false, None, Vec::new());
    let mut rest = call.args.iter();
    while let Some(word) = rest.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            words.push(word.as_str());
            continue;
        };
        for (at, flag) in flags.char_indices() {
            match flag {
                'z' => scan = true,
                'v' => verbose = true,
                'n' | '4' | '6' | 't' | 'N' => {}
                'w' | 'q' | 'i' | 'G' => {
                    let inline = flags.get(at + 1..).filter(|text| !text.is_empty());
                    let value = inline.map(str::to_owned).or_else(|| rest.next().cloned());
                    let Some(seconds) = value.and_then(|value| value.parse::<u64>().ok()) else {
                        return call.usage(1, format_args!("-{flag} needs seconds"));
                    };
                    if flag == 'w' {
                        wait = Some(Duration::from_secs(seconds.max(1)));
                    }
                    break;
                }
                other => return call.usage(1, format_args!("-{other} is not built in; there are -z -v -w")),
            }
        }
    }
    let [host, port] = words.as_slice() else { return call.usage(1, "nc [-zv] [-w SECONDS] HOST PORT") };
    let Ok(port) = port.parse::<u16>() else { return call.usage(1, format_args!("{port}: no such port")) };
    let ways = Ways::of_environment().map_err(io::Error::other)?;
    let stream = match ways.stream(host, port, wait.unwrap_or(CONNECT)) {
        Ok(stream) => stream,
        Err(error) => return call.usage(1, format_args!("{host} ({port}): {error}")),
    };
    if verbose {
        writeln!(call.err, "{host} ({port}) open")?;
    }
    if scan {
        return Ok(0);
    }
    converse(call, stream, wait)
}

fn converse(call: &mut Call<'_>, stream: TcpStream, wait: Option<Duration>) -> io::Result<u8> {
    let mut sending = stream.try_clone()?;
    // A handle of its own: the process's own one is locked for as long as a command runs.
    let mut input = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let limit = wait.unwrap_or(LINGER);
    // Standard input is read by a thread of its own; the process ends without it when the other side has closed.
    let _sender = std::thread::Builder::new().spawn(move || -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            let length = input.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
            sending.write_all(chunk)?;
        }
        // Now the answer has a limit.
        sending.set_read_timeout(Some(limit))?;
        sending.shutdown(Shutdown::Write)
    })?;
    if let Some(wait) = wait {
        stream.set_read_timeout(Some(wait))?;
    }
    let mut receiving = stream;
    let mut buffer = [0; 8192];
    loop {
        let length = match receiving.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(0),
            Err(error) => return call.usage(1, error),
        };
        let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { return Ok(0) };
        call.out.write_all(chunk)?;
        call.out.flush()?;
    }
}

/// A random number; 0 where the system has none.
pub(in crate::runtime) fn random() -> u32 {
    let mut bytes = [0; 4];
    let random: &dyn rustls::crypto::SecureRandom = crate::tls::provider().secure_random;
    match random.fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}
