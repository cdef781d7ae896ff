//! Limits that change under load: what each client has left is exact.
//!
//! What a client has used is kept as the time in which it comes back: at one an hour, four requests
//! are four hours. A new limit allows as many requests as fit between that and its own window, `burst
//! / rate`. What lies further ahead than the window and one interval is moved to the window's end when
//! the client comes again. The hours are long enough that a test's seconds make no difference.

use crate::harness::{App, Gate, Load, PROXIED, client, get_as, with_upstream};

/// A gate whose clients are floods and those that a test asks for.
struct Changing {
    app: App,
    gate: Gate,
    floods: Vec<Load>,
}

/// So many answers show that a whole round of requests was asked after a change.
const ROUNDS: u64 = 64;
/// The first number of the clients that flood.
const FLOODERS: u32 = 100_000;
const FLOODS: u32 = 3;

fn config(app: &App, rate: &str, burst: u32) -> String {
    let limit = format!("limit = {{ rate = \"{rate}\", burst = {burst} }}\n");
    with_upstream(&[app.address], &format!("{PROXIED}{limit}"))
}

impl Changing {
    fn new(rate: &str, burst: u32) -> Changing {
        let app = App::echoing_paths();
        let gate = Gate::start(&config(&app, rate, burst));
        let flood = |number| Load::flood(&gate, move |_| get_as(client(FLOODERS + number), ""));
        let changing = Changing {
            floods: (0..FLOODS).map(flood).collect(),
            app,
            gate,
        };
        changing.let_floods_go_on();
        changing
    }

    /// Waits until every flood has asked for more than any budget here.
    fn let_floods_go_on(&self) {
        for flood in &self.floods {
            flood.wait_for(ROUNDS);
        }
    }

    /// Changes the limit while the floods go on.
    fn change(&self, rate: &str, burst: u32) {
        self.gate.folder.configure(&config(&self.app, rate, burst));
        self.gate.verb(&["reload"]).good();
        self.let_floods_go_on();
    }

    /// How many of 25 requests of each of these clients pass.
    fn passing(&self, clients: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let mut proxy = self.gate.connect();
        let pass = |number| proxy.passing(&vec![get_as(client(number), ""); 25], "client_rate");
        clients.into_iter().map(pass).collect()
    }

    /// Spends: the clients `first`, `first + 1` ... have used 0, 1 ... 10 afterwards.
    fn spend(&self, first: u32) {
        let requests = (0..=10).flat_map(|used| {
            let one = get_as(client(first + used), "");
            std::iter::repeat_n(one, used as usize)
        });
        let requests: Vec<String> = requests.collect();
        let responses = self.gate.connect().pipeline(&requests);
        assert!(responses.iter().all(|response| response.status == 200));
    }

    /// Ends the floods: each got `passed` in all and refusals for the rest, on the connection that it
    /// opened first.
    fn end(self, passed: u64, connections: u32) {
        for flood in self.floods {
            let tally = flood.stop();
            assert_eq!(tally.of(200), passed, "{tally:?}");
            assert_eq!(tally.other_than(200), tally.of(429), "{tally:?}");
        }
        let accepted = &self.gate.status()["connections"]["accepted"];
        assert_eq!(*accepted, FLOODS + connections, "nobody had to come back");
        let failed = &self.gate.status()["requests"]["failed"];
        assert_eq!(*failed, 0);
    }
}

/// The clients that [`Changing::spend`] made, by what they have used.
fn eleven(first: u32) -> std::ops::RangeInclusive<u32> {
    first..=first + 10
}

#[test]
fn a_larger_burst_adds_to_what_is_left_and_a_smaller_one_takes_from_it() {
    let changing = Changing::new("1/h", 10);
    for first in [0, 20, 40] {
        changing.spend(first);
    }
    changing.change("1/h", 20);
    let left: Vec<usize> = (0..=10).map(|used| 20 - used).collect();
    assert_eq!(changing.passing(eleven(0)), left, "of 20");
    changing.change("1/h", 6);
    let left: Vec<usize> = (0_usize..=10)
        .map(|used| 6_usize.saturating_sub(used))
        .collect();
    assert_eq!(changing.passing(eleven(20)), left, "of 6");
    changing.change("1/h", 3);
    let left: Vec<usize> = (0_usize..=10)
        .map(|used| 3_usize.saturating_sub(used))
        .collect();
    assert_eq!(changing.passing(eleven(40)), left, "of 3");
    assert_eq!(changing.passing(eleven(0)), [0; 11], "who had 20 has none");
    changing.end(20, 7);
}

#[test]
fn who_stays_away_while_a_limit_is_lower_has_lost_nothing() {
    let changing = Changing::new("1/h", 10);
    changing.spend(0);
    changing.change("1/h", 3);
    changing.change("1/h", 10);
    let left: Vec<usize> = (0..=10).map(|used| 10 - used).collect();
    assert_eq!(changing.passing(eleven(0)), left);
    // The floods came while it was three: what they had used weighs three hours from then on.
    changing.end(10 + 7, 2);
}

#[test]
fn what_was_used_weighs_the_time_it_weighed_when_the_rate_changes() {
    let changing = Changing::new("1/h", 10);
    for first in [0, 20, 40] {
        changing.spend(first);
    }
    // Ten at two an hour are five hours: of who used two of them, three are left, for six requests.
    changing.change("2/h", 10);
    let left: Vec<usize> = (0_usize..=10)
        .map(|used| 10_usize.saturating_sub(2 * used))
        .collect();
    assert_eq!(changing.passing(eleven(0)), left, "at 2/h");
    // Twenty at four an hour, the same five hours.
    changing.change("4/h", 20);
    let left: Vec<usize> = (0_usize..=10)
        .map(|used| 20_usize.saturating_sub(4 * used))
        .collect();
    assert_eq!(changing.passing(eleven(20)), left, "at 4/h");
    // Back again, those who did not ask meanwhile have what they had.
    changing.change("1/h", 10);
    let left: Vec<usize> = (0..=10).map(|used| 10 - used).collect();
    assert_eq!(changing.passing(eleven(40)), left, "at 1/h");
    // A flood has used ten hours; five of them count under the next two limits, so that five more
    // than these fit into the ten hours of the last.
    changing.end(10 + 5, 6);
}
