//! Options as `name=value`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};

pub struct Options(HashMap<String, String>);

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let pair = |argument: String| {
            let (name, value) = argument
                .split_once('=')
                .with_context(|| format!("`{argument}` is not name=value"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        Ok(Self(arguments.map(pair).collect::<Result<_>>()?))
    }

    pub fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        let value = self
            .0
            .get(name)
            .with_context(|| format!("{name}= is missing"))?;
        value
            .parse()
            .ok()
            .with_context(|| format!("{name}={value} is not understood"))
    }

    pub fn to(&self) -> Result<SocketAddrV4> {
        self.get("to")
    }

    pub fn seconds(&self) -> Result<Duration> {
        Ok(Duration::from_secs_f64(self.get("seconds")?))
    }

    /// The address of each client, from `first` on.
    pub fn sources(&self) -> Result<Vec<Ipv4Addr>> {
        let first: Ipv4Addr = self.get("first")?;
        let clients: u32 = self.get("clients")?;
        Ok((0..clients)
            .map(|n| Ipv4Addr::from(u32::from(first).wrapping_add(n)))
            .collect())
    }
}
