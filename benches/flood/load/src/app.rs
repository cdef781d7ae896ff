//! An app of limited capacity: so many requests at a time, each for so long; the others wait in line, and
//! are served even when nobody waits for them any more, as apps do.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::options::Options;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";

pub async fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.get("port")?)).await?;
    let places = Rc::new(Semaphore::new(options.get("places")?));
    let takes = Duration::from_millis(options.get("ms")?);
    let accept = async {
        loop {
            // Out of descriptors is the app's own flood: it goes on when there are some again.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            tokio::task::spawn_local(connection(stream, Rc::clone(&places), takes));
        }
    };
    LocalSet::new().run_until(accept).await
}

async fn connection(mut stream: TcpStream, places: Rc<Semaphore>, takes: Duration) {
    let mut buffer = Vec::with_capacity(2048);
    loop {
        buffer.clear();
        while !buffer.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        }
        if let Ok(_place) = places.acquire().await {
            tokio::time::sleep(takes).await;
        }
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
