//! The TCP connection below SSH, and its first bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::error::SshError;

/// Longest identification line (RFC 4253, section 4.2), with its line end.
const LINE: usize = 255;

/// How every identification line begins.
const PREFIX: &[u8] = b"SSH-";

/// Connects.
pub(crate) async fn dial(target: SocketAddr, deadline: Instant) -> Result<TcpStream, SshError> {
    match timeout_at(deadline, TcpStream::connect(target)).await {
        Err(_) => Err(SshError::TimedOut { target, during: "connecting" }),
        Ok(Ok(stream)) => {
            // The library sets it only where it connects itself. It fails where the connection has gone, which the next
            // read tells.
            let _gone = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => Err(SshError::Refused { target }),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::TimedOut => {
            Err(SshError::TimedOut { target, during: "connecting" })
        }
        Ok(Err(source)) => Err(SshError::Unreachable { target, source }),
    }
}

/// Looks at the first bytes without taking them from the stream, so that the protocol can still begin with them.
///
/// Lines before the identification, which RFC 4253 allows and nobody sends, count as not SSH.
pub(crate) async fn speaks_ssh(stream: &TcpStream, target: SocketAddr, deadline: Instant) -> Result<(), SshError> {
    let mut buffer = [0_u8; LINE];
    let n = match timeout_at(deadline, stream.peek(&mut buffer)).await {
        Err(_) => return Err(SshError::TimedOut { target, during: "greeting" }),
        Ok(looked) => looked.unwrap_or(0),
    };
    let bytes = buffer.get(..n).unwrap_or_default();
    let common = n.min(PREFIX.len());
    if n == 0 || bytes.get(..common) != PREFIX.get(..common) {
        return Err(not_ssh(target, bytes));
    }
    Ok(())
}

/// Takes the identification line from the stream.
pub(crate) async fn greeting(stream: TcpStream, target: SocketAddr, deadline: Instant) -> Result<String, SshError> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(LINE as u64));
    match timeout_at(deadline, reader.read_until(b'\n', &mut line)).await {
        Err(_) => Err(SshError::TimedOut { target, during: "greeting" }),
        // A reset after the line is nobody's concern here; one before it leaves the line empty.
        Ok(_) if line.starts_with(PREFIX) && line.ends_with(b"\n") => Ok(printable(&line)),
        Ok(_) => Err(not_ssh(target, &line)),
    }
}

fn not_ssh(target: SocketAddr, bytes: &[u8]) -> SshError {
    SshError::NotSsh { target, saw: printable(bytes.split(|b| *b == b'\n').next().unwrap_or_default()) }
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end()
        .chars()
        .take(80)
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_packets_leave_at_once() -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let stream = dial(listener.local_addr()?, Instant::now() + std::time::Duration::from_secs(10)).await;
        assert!(stream.expect("somebody listens").nodelay()?);
        Ok(())
    }
}
