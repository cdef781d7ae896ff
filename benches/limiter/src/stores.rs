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
use governor::state::keyed::{DashMapStateStore, HashMapStateStore};
use governor::state::{InMemoryState, NotKeyed, StateStore};
use pingora_limits::rate::Rate;
use tidegate_limit::{Decision, Domain, Key, KeyHasher, Limiter, Now, Quota, Table};

use crate::MILLION;

/// A client, as long as an IPv6 address.
pub type Client = [u8; 16];

/// Decisions in a request: what can share one reading of the clock.
pub const DECISIONS: usize = 4;

const RATE: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
const COST: NonZeroU32 = NonZeroU32::MIN;

/// What a decision about a new client takes, clock and measurement aside.
const A_DECISION: Duration = Duration::from_nanos(100);

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

/// What `tidegate_limit` is told the time by.
pub trait Watch: Send + Sync {
    /// Starts now.
    fn start() -> Self;
    /// The time since then.
    fn now(&self) -> Now;
}

impl Watch for Instant {
    fn start() -> Self {
        Self::now()
    }

    fn now(&self) -> Now {
        Now::from_nanos(self.elapsed().as_nanos() as u64)
    }
}

/// governor's default clock.
pub struct Quanta {
    clock: quanta::Clock,
    start: u64,
}

impl Watch for Quanta {
    fn start() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        Self { clock, start }
    }

    fn now(&self) -> Now {
        Now::from_nanos(self.clock.delta_as_nanos(self.start, self.clock.raw()))
    }
}

/// `tidegate_limit`, reading a clock for every decision.
pub struct Tidegate<W> {
    limiter: Limiter,
    table: Arc<Table>,
    hasher: KeyHasher,
    watch: W,
}

impl<W: Watch> Tidegate<W> {
    /// A limiter over a table for `clients`.
    pub fn new(clients: usize) -> Self {
        let quota = Quota::new(RATE, Duration::from_secs(1), BURST).expect("within the bounds");
        let table = Arc::new(Table::new(clients).expect("the machine has the memory"));
        Self {
            limiter: Limiter::new(quota, &table),
            table,
            hasher: KeyHasher::new(),
            watch: W::start(),
        }
    }

    /// See [`Table::evictions`].
    pub fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    fn key(&self, client: &Client) -> Key {
        self.hasher.key(Domain::Client, client)
    }

    fn prefetched(&self, client: &Client) -> Key {
        let key = self.key(client);
        self.limiter.prefetch(key);
        key
    }

    fn take(&self, key: Key, now: Now) -> bool {
        matches!(self.limiter.take(key, COST, now), Decision::Allowed { .. })
    }
}

impl<W: Watch> Store for Tidegate<W> {
    fn allows(&self, client: &Client) -> bool {
        let now = self.watch.now();
        self.take(self.key(client), now)
    }
}

/// The same, with the clock read while the client's entry is fetched.
pub struct Prefetched(pub Tidegate<Instant>);

impl Store for Prefetched {
    fn allows(&self, client: &Client) -> bool {
        let key = self.0.prefetched(client);
        self.0.take(key, self.0.watch.now())
    }
}

/// `tidegate_limit`, reading `Instant` once a request, as the gate does.
pub struct Shared(pub Tidegate<Instant>);

impl Store for Shared {
    fn allows(&self, client: &Client) -> bool {
        self.0.allows(client)
    }

    fn request(&self, clients: &[Client; DECISIONS]) -> usize {
        let now = self.0.watch.now();
        let keys = clients.iter().map(|client| self.0.key(client));
        keys.filter(|key| self.0.take(*key, now)).count()
    }
}

/// The same, with all entries of a request fetched at once.
pub struct SharedPrefetched(pub Tidegate<Instant>);

impl Store for SharedPrefetched {
    fn allows(&self, client: &Client) -> bool {
        self.0.allows(client)
    }

    fn request(&self, clients: &[Client; DECISIONS]) -> usize {
        let keys = clients.each_ref().map(|client| self.0.prefetched(client));
        let now = self.0.watch.now();
        keys.iter().filter(|key| self.0.take(**key, now)).count()
    }
}

/// governor with a store and its default clock.
pub struct Governor<S: StateStore<Key = Client>>(RateLimiter<Client, S, DefaultClock>);

/// Its default.
pub type GovernorDashMap = Governor<DashMapStateStore<Client>>;
/// A `HashMap` under a mutex.
pub type GovernorHashMap = Governor<HashMapStateStore<Client>>;
/// A lock-free map.
pub type GovernorPapaya = Governor<Papaya>;
/// A cache with a bound on its entries.
pub type GovernorMoka = Governor<Moka>;

/// governor's state of one client in a map of papaya's. Unbounded.
#[derive(Default)]
pub struct Papaya(papaya::HashMap<Client, InMemoryState>);

impl StateStore for Papaya {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let map = self.0.pin();
        let state = map.get_or_insert_with(*client, InMemoryState::default);
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// The same in a cache of moka's: the number of clients is bounded, and whoever
/// falls out of it starts afresh.
pub struct Moka(moka::sync::Cache<Client, Arc<InMemoryState>>);

impl Default for Moka {
    fn default() -> Self {
        Self(moka::sync::Cache::new(MILLION))
    }
}

impl StateStore for Moka {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = self.0.get_with(*client, Arc::default);
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl<S: StateStore<Key = Client> + Default> Governor<S> {
    /// A limiter without clients.
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

/// Decides nothing and takes about as long as a decision: shows what the machine
/// itself does to a measurement.
pub struct Nothing;

impl Store for Nothing {
    fn allows(&self, client: &Client) -> bool {
        std::hint::black_box(client);
        let start = Instant::now();
        while start.elapsed() < A_DECISION {}
        true
    }
}
