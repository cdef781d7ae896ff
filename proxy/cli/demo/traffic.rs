//! Who sends what, from where and how often.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::caller::Caller;
use super::source::{CUSTOMERS, FLOOD, Group, Origin, VISITORS};
use super::tally::{Party, Tally};

/// What one kind of sender does.
#[derive(Clone)]
struct Habit {
    party: Party,
    group: Group,
    path: &'static str,
    /// Milliseconds between two requests of one address, whether or not the first was answered.
    pause: Range<u64>,
    /// Connections of one address; while all of them wait for an answer, it sends nothing.
    connections: usize,
}

const CUSTOMERS_DO: Habit = Habit {
    party: Party::Customers,
    group: CUSTOMERS,
    path: "/",
    pause: 450..550,
    connections: 10,
};
const VISITORS_DO: Habit = Habit {
    party: Party::Visitors,
    group: VISITORS,
    path: "/",
    pause: 900..1100,
    connections: 10,
};
/// Five searches a second from each address. With four connections each, the flood has bounds of
/// its own, whatever becomes of the gate.
const FLOOD_DOES: Habit = Habit {
    party: Party::Flood,
    group: FLOOD,
    path: "/search",
    pause: 150..250,
    connections: 4,
};

/// Requests a second that the flood sends at most.
pub(super) const FLOOD_RATE: u32 = FLOOD.size * 5;

/// Where traffic goes, and where it is counted.
#[derive(Clone)]
pub(super) struct Aim {
    pub(super) gate: SocketAddr,
    pub(super) origin: Origin,
    pub(super) tally: Arc<Tally>,
}

/// Senders at work. They stop when this is dropped.
pub(super) struct Traffic {
    /// Held for its drop alone.
    _senders: JoinSet<()>,
}

impl Traffic {
    /// Customers and visitors.
    pub(super) fn people(aim: &Aim) -> Self {
        Traffic::of(&[CUSTOMERS_DO, VISITORS_DO], aim)
    }

    /// The flood.
    pub(super) fn flood(aim: &Aim) -> Self {
        Traffic::of(&[FLOOD_DOES], aim)
    }

    fn of(habits: &[Habit], aim: &Aim) -> Self {
        let mut senders = JoinSet::new();
        for habit in habits {
            for address in habit.group.addresses() {
                senders.spawn(send(habit.clone(), address, aim.clone()));
            }
        }
        Traffic { _senders: senders }
    }
}

/// Sends from one address until dropped.
async fn send(habit: Habit, address: Ipv4Addr, aim: Aim) {
    let mut idle: Vec<Caller> = Vec::new();
    let mut waiting = JoinSet::new();
    // Nobody starts in step with the others.
    sleep(fastrand::u64(0..habit.pause.end)).await;
    loop {
        while let Some(back) = waiting.try_join_next() {
            idle.extend(back.ok());
        }
        if waiting.len() < habit.connections {
            let caller = idle.pop();
            let caller = caller.unwrap_or_else(|| Caller::new(aim.gate, aim.origin, address));
            waiting.spawn(ask(caller, habit.party, habit.path, aim.tally.clone()));
        }
        sleep(fastrand::u64(habit.pause.clone())).await;
    }
}

async fn ask(mut caller: Caller, party: Party, path: &'static str, tally: Arc<Tally>) -> Caller {
    let ticket = tally.sent(party);
    let status = caller.get(path).await;
    tally.answered(ticket, status);
    caller
}

async fn sleep(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
