//! Each of so many clients once, as a trusted proxy in front names them: a proxy then has all of them in
//! its memory.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::client::{Answer, Connection};
use crate::options::Options;

const AT_A_TIME: usize = 64;

struct Walk {
    next: Cell<u32>,
    served: Cell<u32>,
    clients: u32,
    end: Instant,
}

pub async fn run(options: &Options) -> Result<()> {
    let (to, start) = (options.to()?, Instant::now());
    let walk = Rc::new(Walk {
        next: Cell::new(0),
        served: Cell::new(0),
        clients: options.get("clients")?,
        end: start + options.seconds()?,
    });
    let all = async {
        let tasks: Vec<_> = (0..AT_A_TIME)
            .map(|_| {
                let walk = Rc::clone(&walk);
                tokio::task::spawn_local(async move { walk.go(to).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(())
    };
    LocalSet::new().run_until(all).await?;
    let (walked, served) = (walk.next.get().min(walk.clients), walk.served.get());
    println!(
        r#"{{"clients":{walked},"served":{served},"seconds":{:.1}}}"#,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

impl Walk {
    async fn go(&self, to: std::net::SocketAddrV4) -> Result<()> {
        let mut kept = None;
        while self.next.get() < self.clients && Instant::now() < self.end {
            let client = Ipv4Addr::from((10 << 24) + self.next.replace(self.next.get() + 1));
            let request =
                format!("GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {client}\r\n\r\n");
            let connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(Ipv4Addr::LOCALHOST, to)
                    .await
                    .context("the proxy takes no connection")?,
            };
            let (answer, connection) = connection.ask(request.as_bytes()).await;
            self.served
                .set(self.served.get() + u32::from(answer == Answer::Status(200)));
            kept = connection;
        }
        Ok(())
    }
}
