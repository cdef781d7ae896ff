//! A line of a file that lists tenants: what tells one, its tier, and numbers of its own.

use std::collections::HashMap;
use std::num::NonZeroU32;

use tidegate_config::{Config, Limit, Listed, Rate, Tenant, TenantFrom};
use tidegate_limit::Quota;

/// A line of a file, understood.
pub(super) struct Written {
    pub(super) line: usize,
    pub(super) told_by: String,
    pub(super) listed: Listed,
}

/// Understands the lines of a file: what tells a tenant, its tier, and numbers of its own.
pub(super) struct Reader<'config> {
    config: &'config Config,
    tenant: &'config Tenant,
    /// The most tokens that a request takes, by the only host that it can be for.
    costs: HashMap<Option<&'config str>, NonZeroU32>,
}

impl<'config> Reader<'config> {
    pub(super) fn new(config: &'config Config, tenant: &'config Tenant) -> Self {
        let by_host = tenant.from == TenantFrom::Host;
        let mut costs = HashMap::new();
        for route in config.routes.iter().filter(|route| !route.exempt) {
            let host = route.host.as_deref().filter(|_| by_host);
            let most = costs.entry(host).or_insert(route.cost);
            *most = route.cost.max(*most);
        }
        Reader {
            config,
            tenant,
            costs,
        }
    }

    /// The most tokens that a request of this tenant takes.
    fn highest_cost(&self, told_by: &str) -> NonZeroU32 {
        let costs = [None, Some(told_by)].map(|host| self.costs.get(&host));
        let costs = costs.into_iter().flatten().max();
        costs.copied().unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn read(&self, line: usize, text: &str) -> Result<Written, String> {
        let mut words = text.split_whitespace();
        let (Some(told_by), Some(tier)) = (words.next(), words.next()) else {
            return Err(
                "a line has what tells a tenant and the name of its tier, such as: \
                        shop.example.com verified"
                    .to_owned(),
            );
        };
        if !self.config.tiers.contains_key(tier) {
            let tiers: Vec<&str> = self.config.tiers.keys().map(String::as_str).collect();
            return Err(format!(
                "there is no tier {tier:?}; the tiers are {}",
                tiers.join(", ")
            ));
        }
        let mut numbers = Numbers::default();
        for word in words {
            numbers.set(word)?;
        }
        let told_by = self.tenant.from.listed(told_by)?;
        Ok(Written {
            line,
            listed: Listed {
                tier: tier.to_owned(),
                limit: self.limit(&numbers, &told_by)?,
                name: numbers.name,
                in_flight: numbers.in_flight,
            },
            told_by,
        })
    }

    fn limit(&self, numbers: &Numbers, told_by: &str) -> Result<Option<Limit>, String> {
        let Some(rate) = numbers.rate else {
            return match numbers.burst {
                Some(_) => Err("a burst needs its rate, such as rate=20/s burst=40".to_owned()),
                None => Ok(None),
            };
        };
        let burst = numbers.burst.unwrap_or(rate.count);
        let cost = self.highest_cost(told_by);
        if burst < cost {
            return Err(format!(
                "a request takes up to {cost} tokens, so that with a burst of {burst} it could \
                 never pass: raise the burst"
            ));
        }
        Quota::new(rate.count, rate.per, burst).map_err(|error| error.to_string())?;
        Ok(Some(Limit { rate, burst }))
    }
}

/// What may stand behind a tier's name.
#[derive(Default)]
struct Numbers {
    name: Option<String>,
    rate: Option<Rate>,
    burst: Option<NonZeroU32>,
    in_flight: Option<NonZeroU32>,
}

impl Numbers {
    fn set(&mut self, word: &str) -> Result<(), String> {
        const WORDS: &str =
            "behind the tier may stand name=acme, rate=20/s, burst=40 and in_flight=20";
        const MOST_BURST: u32 = 1_000_000;
        const MOST_IN_FLIGHT: u32 = 10_000_000;
        let number = |text: &str, most: u32| {
            let number = text
                .parse()
                .ok()
                .filter(|number: &NonZeroU32| number.get() <= most);
            number.ok_or_else(|| format!("{word:?} is not a whole number from 1 to {most}"))
        };
        let kind = word.split_once('=');
        let twice = match kind {
            Some(("name", name)) => {
                let name = tidegate_config::parse_name(name)?;
                self.name.replace(name).is_some()
            }
            Some(("rate", rate)) => self.rate.replace(rate.parse()?).is_some(),
            Some(("burst", burst)) => self.burst.replace(number(burst, MOST_BURST)?).is_some(),
            Some(("in_flight", most)) => {
                let most = number(most, MOST_IN_FLIGHT)?;
                self.in_flight.replace(most).is_some()
            }
            _ => return Err(format!("{word:?} says nothing: {WORDS}")),
        };
        match twice {
            true => Err(format!(
                "{}= stands there twice",
                kind.map_or(word, |(kind, _)| kind)
            )),
            false => Ok(()),
        }
    }
}
