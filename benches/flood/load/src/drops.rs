//! Connections that the proxy closes before it has read a byte: 32 are opened, each is waited for, all are
//! given up, and so on. Plain blocking calls, as these cost the load the least.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::options::Options;

const BATCH: usize = 32;
/// What is neither closed nor answered for so long was let in.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(options: &Options) -> Result<()> {
    let (to, end) = (options.to()?, Instant::now() + options.seconds()?);
    let mut dropped = 0;
    while Instant::now() < end {
        let opened: Vec<_> = (0..BATCH).map(|_| open(to)).collect::<Result<_>>()?;
        for connection in opened.into_iter().flatten() {
            wait_for_close(connection)?;
        }
        dropped += BATCH;
    }
    println!(r#"{{"dropped":{dropped}}}"#);
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

fn wait_for_close(mut connection: TcpStream) -> Result<()> {
    // A reset may have come already: then there is nothing to set.
    let _ = connection.set_read_timeout(Some(PATIENCE));
    match connection.read(&mut [0]) {
        Ok(1..) => bail!("a connection was answered, not dropped"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            bail!("a connection was let in, not dropped")
        }
        Ok(0) | Err(_) => Ok(()),
    }
}
