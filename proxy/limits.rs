//! The counters: what clients and tenants have used. They outlive every policy.

use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_limit::{KeyHasher, Limiter, Occupancy, Quota, QuotaError, Table, TableError};

/// Every counter that a verdict or the door takes from.
#[derive(Debug)]
pub struct Limits {
    /// Token buckets of clients, networks, tenants and routes.
    pub table: Arc<Table>,
    /// Makes the keys of all of them.
    pub hasher: KeyHasher,
    /// Open connections by client.
    pub connections: Arc<Occupancy>,
    /// TLS handshakes under way by client.
    pub handshakes: Arc<Occupancy>,
    /// Requests in flight by tenant and by route.
    pub in_flight: Arc<Occupancy>,
}

/// Counters a row, a connection: collisions then need an attacker who holds most connections.
const COUNTERS_A_CONNECTION: usize = 16;
const MIN_COUNTERS: usize = 1 << 14;
const MAX_COUNTERS: usize = 1 << 22;

impl Limits {
    /// Counters for this many tracked clients and open connections, all of it allocated now.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn new(max_tracked: usize, connections: NonZeroU32) -> Result<Self, TableError> {
        Limits::keyed(KeyHasher::new(), max_tracked, connections)
    }

    /// The same, with keys as another process makes them.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn keyed(
        hasher: KeyHasher,
        max_tracked: usize,
        connections: NonZeroU32,
    ) -> Result<Self, TableError> {
        let rows = usize::try_from(connections.get())
            .unwrap_or(MAX_COUNTERS)
            .saturating_mul(COUNTERS_A_CONNECTION)
            .clamp(MIN_COUNTERS, MAX_COUNTERS);
        Ok(Limits {
            table: Arc::new(Table::new(max_tracked)?),
            hasher,
            connections: Arc::new(Occupancy::new(rows)?),
            handshakes: Arc::new(Occupancy::new(MIN_COUNTERS)?),
            in_flight: Arc::new(Occupancy::new(rows)?),
        })
    }
}

/// A limit with the name under which a response speaks of it.
#[derive(Debug)]
pub struct NamedLimit {
    /// The policy's name in `RateLimit` fields.
    pub name: &'static str,
    /// As it is configured.
    pub written: tidegate_config::Limit,
    /// Its quota over the shared counters.
    pub limiter: Limiter,
}

impl NamedLimit {
    /// A configured limit over these counters.
    ///
    /// # Errors
    /// When the counters cannot represent its rate and burst.
    pub fn new(
        name: &'static str,
        limit: &tidegate_config::Limit,
        limits: &Limits,
    ) -> Result<Self, QuotaError> {
        let quota = Quota::new(limit.rate.count, limit.rate.per, limit.burst)?;
        Ok(NamedLimit {
            name,
            written: *limit,
            limiter: Limiter::new(quota, &limits.table),
        })
    }
}
