//! The tenants that the configuration and its files list.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use tidegate_config::{Config, Limit, Listed, Rate, Tenant, TenantFrom};
use tidegate_limit::Quota;

use crate::lists::{ListError, Lists};

/// Every listed tenant by what requests tell it by, each checked.
#[derive(Debug, Default)]
pub struct Roster {
    entries: HashMap<String, Row>,
    /// What is allowed but most likely not meant.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct Row {
    listed: Listed,
    source: Arc<str>,
    /// In its file.
    line: Option<usize>,
}

impl Row {
    fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.to_string(),
        }
    }
}

/// A line of a file, understood.
struct Written {
    line: usize,
    told_by: String,
    listed: Listed,
}

impl Roster {
    /// What the configuration lists, and the files that it names.
    ///
    /// # Errors
    /// When a file cannot be read whole, or two entries contradict each other.
    pub fn read(config: &Config) -> Result<Self, ListError> {
        let Some(tenant) = &config.tenant else {
            return Ok(Roster::default());
        };
        let lists = Lists {
            key: "tenant.files",
            example: "tenants.d/*.txt",
            patterns: &tenant.files,
        };
        let reader = Reader::new(config, tenant);
        let files = lists.read(|line, text| reader.read(line, text))?;
        let mut merging = Merging::new(config);
        for (path, entries) in files {
            merging.add(&path, entries)?;
        }
        Ok(merging.into_roster())
    }

    /// How many names and credentials it lists.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the tenant is called that an operator means by its name, or by what requests tell it by.
    pub fn name_of(&self, text: &str) -> Option<&str> {
        if let Some((told_by, row)) = self.entries.get_key_value(text) {
            return Some(row.listed.name.as_ref().unwrap_or(told_by));
        }
        let mut names = self
            .entries
            .values()
            .filter_map(|row| row.listed.name.as_deref());
        names.find(|name| *name == text)
    }

    /// All of them: what requests tell it by, what it may use, and where it is listed.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Listed, &Arc<str>)> {
        let rows = self.entries.iter();
        rows.map(|(told_by, row)| (&**told_by, &row.listed, &row.source))
    }
}

/// Entries of several lists becoming one roster.
struct Merging {
    entries: HashMap<String, Row>,
    /// Of each name that differs from what tells its tenant, one of its entries.
    called: HashMap<String, String>,
    repeated: usize,
    first_repeated: String,
}

impl Merging {
    fn new(config: &Config) -> Self {
        let source: Arc<str> = "[tenants]".into();
        let mut merging = Merging {
            entries: HashMap::new(),
            called: HashMap::new(),
            repeated: 0,
            first_repeated: String::new(),
        };
        for (told_by, listed) in &config.tenants {
            if let Some(name) = &listed.name {
                merging.called.insert(name.clone(), told_by.clone());
            }
            let row = Row {
                listed: listed.clone(),
                source: source.clone(),
                line: None,
            };
            merging.entries.insert(told_by.clone(), row);
        }
        merging
    }

    fn add(&mut self, path: &Path, entries: Vec<Written>) -> Result<(), ListError> {
        let source: Arc<str> = path.display().to_string().into();
        for Written {
            line,
            told_by,
            listed,
        } in entries
        {
            let found = told_by.clone();
            let row = Row {
                listed,
                source: source.clone(),
                line: Some(line),
            };
            self.insert(told_by, row).map_err(|hint| ListError::Line {
                path: path.to_owned(),
                line,
                found,
                hint,
            })?;
        }
        Ok(())
    }

    fn insert(&mut self, told_by: String, row: Row) -> Result<(), String> {
        let name = row.listed.name.as_ref().unwrap_or(&told_by);
        let namesake = self.called.get(name).unwrap_or(name);
        if let Some(other) = self.entries.get(namesake)
            && !other.listed.agrees_with(&row.listed)
        {
            return Err(format!(
                "the tenant {name:?} stands at {} already, with another tier or other limits; what \
                 has one name has one budget",
                other.place()
            ));
        }
        if let Some(name) = &row.listed.name {
            self.called.insert(name.clone(), told_by.clone());
        }
        match self.entries.entry(told_by) {
            Entry::Vacant(vacant) => drop(vacant.insert(row)),
            Entry::Occupied(first) if first.get().listed != row.listed => {
                return Err(format!(
                    "it stands at {} already, with another tier, name or limits; a tenant has one \
                     tier",
                    first.get().place()
                ));
            }
            Entry::Occupied(first) => {
                if self.repeated == 0 {
                    self.first_repeated = format!(
                        "{:?}, at {} and {}",
                        first.key(),
                        first.get().place(),
                        row.place()
                    );
                }
                self.repeated += 1;
            }
        }
        Ok(())
    }

    fn into_roster(self) -> Roster {
        let mut warnings = Vec::new();
        if self.repeated > 0 {
            warnings.push(format!(
                "tenant.files: {} lines repeat a tenant; the first is {}",
                self.repeated, self.first_repeated
            ));
        }
        Roster {
            entries: self.entries,
            warnings,
        }
    }
}

/// Understands the lines of a file: what tells a tenant, its tier, and numbers of its own.
struct Reader<'config> {
    config: &'config Config,
    tenant: &'config Tenant,
    /// The most tokens that a request takes, by the only host that it can be for.
    costs: HashMap<Option<&'config str>, NonZeroU32>,
}

impl<'config> Reader<'config> {
    fn new(config: &'config Config, tenant: &'config Tenant) -> Self {
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

    fn read(&self, line: usize, text: &str) -> Result<Written, String> {
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
        let twice = match word.split_once('=') {
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
            _ => return Err(WORDS.to_owned()),
        };
        match twice {
            true => Err(format!("{word:?} comes after another of its kind")),
            false => Ok(()),
        }
    }
}
