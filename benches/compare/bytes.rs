//! Bytes through a pair: as many as go, and connections that carry none.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::load::Target;

/// What a client begins with who wants bytes without end.
pub const FLOOD: u8 = b'F';
/// What a client begins with who wants its own bytes back.
pub const ECHO: u8 = b'E';

/// Connections over which bytes come at once.
const AT_ONCE: usize = 4;
/// Bytes that are read at once.
const ROOM: usize = 256 * 1024;
/// Connections that are being made at once.
const OPENING: usize = 32;
/// How long all of them may take.
const OPENED: Duration = Duration::from_secs(60);

/// A connection to the application behind the target; where the target is an HTTP proxy, a tunnel through it.
pub async fn connect(target: &Target) -> Result<TcpStream, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(target.address).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    if target.lines.is_empty() {
        return Ok(stream);
    }
    let host = &target.host;
    let request = format!("CONNECT {host}:80 HTTP/1.1\r\nhost: {host}:80\r\n{}\r\n", target.lines);
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte: what comes behind the head is the application's.
        head.push(stream.read_u8().await.map_err(said)?);
    }
    match head.starts_with(b"HTTP/1.1 200") {
        true => Ok(stream),
        false => Err(format!("there is no tunnel: {}", String::from_utf8_lossy(&head))),
    }
}

/// Says a byte and gets it back.
pub async fn echo(stream: &mut TcpStream) -> Result<(), String> {
    stream.write_u8(ECHO).await.map_err(|error| error.to_string())?;
    let back = stream.read_u8().await.map_err(|error| error.to_string())?;
    if back == ECHO { Ok(()) } else { Err(format!("{back} came back")) }
}

/// Takes bytes as fast as they come, for so long. Answers how many mebibytes.
pub async fn flood(target: &Target, time: Duration) -> Result<u64, String> {
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let mut stream = connect(target).await?;
        stream.write_u8(FLOOD).await.map_err(|error| error.to_string())?;
        tasks.spawn(async move {
            let (mut room, mut taken) = (vec![0; ROOM], 0_u64);
            while let Ok(read) = timeout_at(until, stream.read(&mut room)).await {
                match read {
                    Ok(count @ 1..) => taken += count as u64,
                    Ok(0) => return Err("the connection ended".to_owned()),
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(taken)
        });
    }
    let mut taken = 0;
    while let Some(ended) = tasks.join_next().await {
        taken += ended.map_err(|error| error.to_string())??;
    }
    Ok(taken >> 20)
}

/// So many connections, over each of which a byte went there and back.
pub async fn open(target: &Target, count: usize) -> Result<Vec<TcpStream>, String> {
    let until = Instant::now() + OPENED;
    let mut tasks = JoinSet::new();
    let mut open = Vec::with_capacity(count);
    let mut begun = 0;
    while open.len() < count {
        while begun < count && tasks.len() < OPENING {
            begun += 1;
            let target = target.clone();
            tasks.spawn(async move {
                let mut stream = connect(&target).await?;
                echo(&mut stream).await?;
                Ok::<_, String>(stream)
            });
        }
        let ended = timeout_at(until, tasks.join_next()).await;
        let ended = ended.map_err(|_| format!("{} of {count} are open after {OPENED:?}", open.len()))?;
        let Some(ended) = ended else { break };
        open.push(ended.map_err(|error| error.to_string())??);
    }
    Ok(open)
}
