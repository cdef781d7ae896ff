//! The gate's side of the screen: a thread that asks and does, so that keys are never waited with.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::View;
use super::actions::{Action, Done};
use super::state::Seen;
use crate::admin::{Client, ClientError};
use crate::cli::{mode, output};
use crate::mode::Record;
use crate::top::Sources;

/// How often the gate is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Sources of each kind that it is asked for: those that a tall screen has room for.
const NAMED: u8 = 60;

/// What is asked of the gate.
#[derive(Debug)]
pub(super) enum Order {
    Look(View),
    Do(Action),
}

/// What has come of it.
#[derive(Debug)]
pub(super) enum News {
    Saw(Box<Result<Seen, String>>),
    Did(Done),
}

/// The thread, which ends when what it is given here does.
pub(super) fn start(gate: Client, view: View) -> std::io::Result<(Sender<Order>, Receiver<News>)> {
    let (orders, ordered) = channel();
    let (told, news) = channel();
    thread::Builder::new()
        .name("gate".to_owned())
        .spawn(move || serve(&gate, view, &ordered, &told))?;
    Ok((orders, news))
}

fn serve(gate: &Client, mut view: View, ordered: &Receiver<Order>, told: &Sender<News>) {
    loop {
        let seen = look(gate, view).map_err(|error| error.to_string());
        if told.send(News::Saw(Box::new(seen))).is_err() {
            return;
        }
        match ordered.recv_timeout(EVERY) {
            Ok(Order::Look(other)) => view = other,
            Ok(Order::Do(action)) => {
                if told.send(News::Did(action.carry_out(gate))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look(gate: &Client, view: View) -> Result<Seen, ClientError> {
    let record: Record = gate.get("/v1/mode")?;
    let sources: Sources = gate.ask("/v1/top", &view.query(NAMED))?;
    Ok(Seen {
        view,
        mode: output::plain(&mode::sentence(&record)),
        sources,
        at: Instant::now(),
    })
}
