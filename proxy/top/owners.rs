//! Whose an address is, by databases in MaxMind's format.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions, geoip2, path};
use tidegate_config::Config;

use crate::cut::beginning;
use crate::regular;

/// Bytes of a database; the largest of this kind have 70 MiB.
const LARGEST: u64 = 128 * 1024 * 1024;

/// The databases that the configuration names.
#[derive(Debug, Default)]
pub struct Owners {
    systems: Option<Database>,
    countries: Option<Database>,
}

/// A database that is not good.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {problem}", .path.display())]
pub struct OwnersError {
    key: &'static str,
    path: PathBuf,
    problem: String,
}

/// An autonomous system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System<'a> {
    pub number: u32,
    /// Whose it is.
    pub name: &'a str,
}

/// Bytes of a name that are shown: a file may hold longer ones.
const NAME: usize = 64;

impl fmt::Display for System<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("AS{} {}", self.number, beginning(self.name, NAME));
        f.write_str(text.trim_end())
    }
}

type Found<'a> = LookupResult<'a, Vec<u8>>;

impl Owners {
    /// Reads all of them.
    ///
    /// # Errors
    /// When one cannot be read, is damaged, or is of another kind.
    pub fn read(config: &Config) -> Result<Self, OwnersError> {
        let open = |key, file: &Option<PathBuf>, tells: fn(&Found) -> bool| {
            let file = file.as_deref();
            file.map(|path| Database::read(key, path, tells))
                .transpose()
        };
        let top = &config.top;
        Ok(Owners {
            systems: open("top.systems_file", &top.systems_file, |found| {
                system(found).is_some()
            })?,
            countries: open("top.countries_file", &top.countries_file, |found| {
                country(found).is_some()
            })?,
        })
    }

    /// The autonomous system that an address is in.
    pub fn system(&self, address: IpAddr) -> Option<System<'_>> {
        system(&self.systems.as_ref()?.0.lookup(address).ok()?)
    }

    /// The code of its country.
    pub fn country(&self, address: IpAddr) -> Option<&str> {
        country(&self.countries.as_ref()?.0.lookup(address).ok()?)
    }

    /// What is different in the next ones.
    pub fn changes(&self, next: &Owners) -> Vec<String> {
        let pairs = [
            ("top.systems_file", &self.systems, &next.systems),
            ("top.countries_file", &self.countries, &next.countries),
        ];
        let newer = pairs.into_iter().filter_map(|(key, before, next)| {
            let (before, next) = (before.as_ref()?.built(), next.as_ref()?.built());
            (before != next).then(|| format!("{key}: a database of {next}, before of {before}"))
        });
        newer.collect()
    }
}

fn system<'a>(found: &Found<'a>) -> Option<System<'a>> {
    let record: geoip2::Asn = found.decode().ok()??;
    Some(System {
        number: record.autonomous_system_number?,
        name: record.autonomous_system_organization.unwrap_or_default(),
    })
}

fn country<'a>(found: &Found<'a>) -> Option<&'a str> {
    found.decode_path(&path!["country", "iso_code"]).ok()?
}

/// A database, all of it in memory.
#[derive(Debug)]
struct Database(Reader<Vec<u8>>);

impl Database {
    /// `tells`: whether a record says what the database is for.
    fn read(
        key: &'static str,
        path: &Path,
        tells: fn(&Found) -> bool,
    ) -> Result<Self, OwnersError> {
        let error = |problem| OwnersError {
            key,
            path: path.to_owned(),
            problem,
        };
        let bytes = regular::read(path, LARGEST)
            .map_err(|problem| error(format!("cannot be read ({problem})")))?;
        let damaged = |problem: MaxMindDbError| {
            error(format!(
                "no database in MaxMind's format, or a damaged one ({problem})"
            ))
        };
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        reader.verify().map_err(damaged)?;
        let mut records = reader.networks(WithinOptions::default()).map_err(damaged)?;
        match records.any(|record| record.is_ok_and(|found| tells(&found))) {
            true => Ok(Database(reader)),
            false => Err(error(format!(
                "it does not tell that: it is a database of the kind {:?}",
                reader.metadata().database_type
            ))),
        }
    }

    /// When it was made.
    fn built(&self) -> String {
        let seconds = i64::try_from(self.0.metadata().build_epoch).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds)
            .map_or_else(|_| seconds.to_string(), |at| at.to_string())
    }
}
