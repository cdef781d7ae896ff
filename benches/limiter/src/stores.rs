//! What is measured: limiters of 10 a second with a burst of 20, behind one
//! trait. Each gets a client's 16 bytes and hashes them itself.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, HashMapStateStore};
use pingora_limits::rate::Rate;
use tidegate_limit::{Decision, Domain, KeyHasher, Limiter, Now, Quota, Table};

/// A client, as long as an IPv6 address.
pub type Client = [u8; 16];

/// Decisions in a request: what can share one reading of the clock.
pub const DECISIONS: usize = 4;

const RATE: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
const COST: NonZeroU32 = NonZeroU32::MIN;

/// The quota in governor's type.
fn quota() -> governor::Quota {
    governor::Quota::per_second(RATE).allow_burst(BURST)
}

/// A limiter under measurement.
pub trait Store: Send + Sync {
    /// One decision, with its own reading of the clock.
    fn allows(&self, client: &Client) -> bool;

    /// The decisions of one request: how many were allowed.
    fn request(&self, clients: &[Client; DECISIONS]) -> usize {
        clients.iter().filter(|client| self.allows(client)).count()
    }
}

/// `tidegate_limit`, reading `Instant` for every decision.
pub struct Tidegate {
    limiter: Limiter,
    table: Arc<Table>,
    hasher: KeyHasher,
    start: Instant,
}

impl Tidegate {
    /// A limiter over a table for `clients`.
    pub fn new(clients: usize) -> Self {
        let quota = Quota::new(RATE, Duration::from_secs(1), BURST).expect("within the bounds");
        let table = Arc::new(Table::new(clients).expect("the machine has the memory"));
        Self {
            limiter: Limiter::new(quota, &table),
            table,
            hasher: KeyHasher::new(),
            start: Instant::now(),
        }
    }

    /// See [`Table::evictions`].
    pub fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    fn now(&self) -> Now {
        Now::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    fn take(&self, client: &Client, now: Now) -> bool {
        let key = self.hasher.key(Domain::Client, client);
        matches!(self.limiter.take(key, COST, now), Decision::Allowed { .. })
    }
}

impl Store for Tidegate {
    fn allows(&self, client: &Client) -> bool {
        self.take(client, self.now())
    }
}

/// `tidegate_limit`, reading `Instant` once a request, as the gate does.
pub struct TidegateShared(pub Tidegate);

impl Store for TidegateShared {
    fn allows(&self, client: &Client) -> bool {
        self.0.allows(client)
    }

    fn request(&self, clients: &[Client; DECISIONS]) -> usize {
        let now = self.0.now();
        let allowed = clients.iter().filter(|client| self.0.take(client, now));
        allowed.count()
    }
}

/// governor with one of its own stores and its default clock.
pub struct Governor<S: StateStore<Key = Client>>(RateLimiter<Client, S, DefaultClock>);

/// Its default.
pub type GovernorDashMap = Governor<DashMapStateStore<Client>>;
/// A `HashMap` under a mutex.
pub type GovernorHashMap = Governor<HashMapStateStore<Client>>;

impl<S: StateStore<Key = Client> + Default> Governor<S> {
    /// A limiter that grows with its clients.
    pub fn new() -> Self {
        let store = S::default();
        Self(RateLimiter::new(quota(), store, DefaultClock::default()))
    }
}

impl<S: StateStore<Key = Client> + Send + Sync> Store for Governor<S> {
    fn allows(&self, client: &Client) -> bool {
        self.0.check_key(client).is_ok()
    }
}

/// governor's default store, reading `Instant` once a request: what of the
/// difference is the clock's.
pub struct GovernorShared {
    limiter: RateLimiter<Client, DashMapStateStore<Client>, RequestClock, NoOpMiddleware<Nanos>>,
    start: Instant,
}

/// The time of the request that this thread is in.
#[derive(Clone, Default)]
pub struct RequestClock;

thread_local! {
    static REQUEST: Cell<u64> = const { Cell::new(0) };
}

impl Clock for RequestClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(REQUEST.get())
    }
}

impl GovernorShared {
    /// A limiter that grows with its clients.
    pub fn new() -> Self {
        Self {
            limiter: RateLimiter::new(quota(), DashMapStateStore::default(), RequestClock),
            start: Instant::now(),
        }
    }

    fn check(&self, client: &Client) -> bool {
        self.limiter.check_key(client).is_ok()
    }
}

impl Store for GovernorShared {
    fn allows(&self, client: &Client) -> bool {
        REQUEST.set(self.start.elapsed().as_nanos() as u64);
        self.check(client)
    }

    fn request(&self, clients: &[Client; DECISIONS]) -> usize {
        REQUEST.set(self.start.elapsed().as_nanos() as u64);
        clients.iter().filter(|client| self.check(client)).count()
    }
}

/// Pingora's `Rate`. Not the same job: it counts in intervals, and clients
/// share counters.
pub struct Sketch(Rate);

impl Sketch {
    /// Two intervals of 4 times 2^18 counters: 16 MiB.
    pub fn new() -> Self {
        let interval = Duration::from_secs(1);
        Self(Rate::new_with_estimator_config(interval, 4, 1 << 18))
    }
}

impl Store for Sketch {
    fn allows(&self, client: &Client) -> bool {
        self.0.observe(client, 1) <= BURST.get() as isize
    }
}

/// Decides nothing: shows what the machine itself does to a measurement.
pub struct Nothing;

impl Store for Nothing {
    fn allows(&self, client: &Client) -> bool {
        std::hint::black_box(client);
        true
    }
}
