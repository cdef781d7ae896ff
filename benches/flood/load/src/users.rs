//! Users at a steady rate, each from its own address. An open loop: a request is due when it is due,
//! whatever became of those before, and its latency counts from then. Who has had no answer for two
//! seconds gives up, and these two seconds are what is counted.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::{Answer, Connection};
use crate::figures::percentiles;
use crate::options::Options;

const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

struct User {
    from: Ipv4Addr,
    to: SocketAddrV4,
    /// Those kept connections that no request is on.
    idle: RefCell<Vec<Connection>>,
}

#[derive(Default)]
struct Felt {
    served: usize,
    refused: usize,
    waits: Vec<Duration>,
    /// How long after it was due a request was begun: what this program adds to a wait.
    late: Vec<Duration>,
}

pub async fn run(options: &Options) -> Result<()> {
    let to = options.to()?;
    let user = |from| {
        Rc::new(User {
            from,
            to,
            idle: RefCell::default(),
        })
    };
    let users: Vec<_> = options.sources()?.into_iter().map(user).collect();
    let every = Duration::from_secs_f64(1.0 / options.get::<f64>("rate")?);
    let due = (options.seconds()?.as_secs_f64() / every.as_secs_f64()) as u32;
    let felt = Rc::new(RefCell::new(Felt::default()));
    let asking = async {
        let start = Instant::now() + every;
        let mut requests = Vec::new();
        for (n, user) in (0..due).zip(users.iter().cycle()) {
            let due = start + every * n;
            sleep_until(due).await;
            requests.push(tokio::task::spawn_local(ask(
                Rc::clone(user),
                due,
                Rc::clone(&felt),
            )));
        }
        for request in requests {
            request.await?;
        }
        anyhow::Ok(())
    };
    LocalSet::new().run_until(asking).await?;
    let felt = felt.take();
    println!(
        r#"{{"asked":{},"served":{},"refused":{},{},{}}}"#,
        felt.waits.len(),
        felt.served,
        felt.refused,
        percentiles(felt.waits, ""),
        percentiles(felt.late, "_late"),
    );
    Ok(())
}

async fn ask(user: Rc<User>, due: Instant, felt: Rc<RefCell<Felt>>) {
    felt.borrow_mut().late.push(due.elapsed());
    let answer = timeout_at(due + PATIENCE, user.ask())
        .await
        .unwrap_or(Answer::Closed);
    let mut felt = felt.borrow_mut();
    let served = answer == Answer::Status(200);
    felt.served += usize::from(served);
    felt.refused += usize::from(matches!(answer, Answer::Status(status) if status != 200));
    felt.waits
        .push(if served { due.elapsed() } else { PATIENCE });
}

impl User {
    async fn ask(&self) -> Answer {
        // A kept connection may have been closed meanwhile; a browser then opens a new one, too.
        let kept = self.idle.borrow_mut().pop();
        if let Some(connection) = kept
            && let answer @ Answer::Status(_) = self.over(connection).await
        {
            return answer;
        }
        match Connection::open(self.from, self.to).await {
            Ok(connection) => self.over(connection).await,
            Err(_) => Answer::Closed,
        }
    }

    async fn over(&self, connection: Connection) -> Answer {
        let (answer, kept) = connection.ask(REQUEST).await;
        self.idle.borrow_mut().extend(kept);
        answer
    }
}
