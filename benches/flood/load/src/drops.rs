//! Connections that the proxy closes before it has read a byte: 32 are opened, each is waited for, all are
//! given up, and so on. Plain blocking calls, as these cost the load the least.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::options::Options;

const BATCH: usize = 32;
/// What is neither closed nor answered for so long was let in.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(options: &Options) -> Result<()> {
    let (to, end) = (options.to()?, Instant::now() + options.seconds()?);
    let (mut dropped, mut let_in) = (0, 0);
    while Instant::now() < end {
        let opened: Vec<_> = (0..BATCH).map(|_| open(to)).collect::<Result<_>>()?;
        for connection in opened {
            if connection.is_none_or(is_closed) {
                dropped += 1;
            } else {
                let_in += 1;
            }
        }
    }
    println!(r#"{{"dropped":{dropped},"let_in":{let_in}}}"#);
    Ok(())
}

/// None when it was reset before it was open.
fn open(to: SocketAddrV4) -> Result<Option<TcpStream>> {
    match TcpStream::connect(to) {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error).context("a connection was not opened"),
    }
}

fn is_closed(mut connection: TcpStream) -> bool {
    // A reset may have come already: then there is nothing to set.
    let _ = connection.set_read_timeout(Some(PATIENCE));
    match connection.read(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
