//! Networks of one width: those lengths that have the most of them in a hash table each, the others as
//! sorted ranges.

use std::cmp::Reverse;

use super::bits::Bits;
use super::table::{Seed, Table};

/// Lengths that have a table. A miss costs one step in memory for each, which overlap; ranges cost a
/// search, whatever the number of lengths.
const TABLES: usize = 4;
/// Networks from which a table is better than the ranges, which then fit into a few cache lines.
const FEW: usize = 64;
/// Lengths that there may be, 0 included.
const LENGTHS: usize = 129;

/// How many networks of each length there are.
#[derive(Debug)]
pub(super) struct Counts([usize; LENGTHS]);

impl Counts {
    pub(super) fn new() -> Self {
        Counts([0; LENGTHS])
    }

    pub(super) fn count(&mut self, length: u8) {
        if let Some(count) = self.0.get_mut(usize::from(length)) {
            *count += 1;
        }
    }
}

/// The networks of one prefix length.
#[derive(Debug)]
struct Length<B> {
    length: u8,
    mask: B,
    table: Table<B>,
}

/// Networks being put in: what goes into a table is there, the rest is not merged yet.
#[derive(Debug)]
pub(super) struct Building<B> {
    lengths: Vec<Length<B>>,
    rest: Vec<(B, u8)>,
}

/// Networks of several lengths.
#[derive(Debug)]
pub(super) struct Networks<B> {
    lengths: Vec<Length<B>>,
    /// The first and last addresses of what is in no table: sorted, apart from each other.
    starts: Box<[B]>,
    ends: Box<[B]>,
    /// How many different networks these are made of.
    in_ranges: usize,
}

impl<B> Default for Networks<B> {
    fn default() -> Self {
        Networks {
            lengths: Vec::new(),
            starts: Box::default(),
            ends: Box::default(),
            in_ranges: 0,
        }
    }
}

impl<B: Bits> Building<B> {
    /// Room for so many networks of each length.
    pub(super) fn new(counts: &Counts, seed: Seed) -> Self {
        let mut most: Vec<(u8, usize)> = (0..).zip(counts.0).collect();
        most.sort_unstable_by_key(|(length, count)| (Reverse(*count), *length));
        let tables = most.iter().take(TABLES).filter(|(_, count)| *count > FEW);
        let lengths: Vec<Length<B>> = tables
            .map(|(length, count)| Length {
                length: *length,
                mask: B::mask(*length),
                table: Table::with_room(*count, seed),
            })
            .collect();
        let others = most.iter().skip(lengths.len()).map(|(_, count)| count);
        Building {
            rest: Vec::with_capacity(others.sum()),
            lengths,
        }
    }

    /// Puts a network in.
    pub(super) fn insert(&mut self, network: B, length: u8) {
        match self.lengths.iter_mut().find(|one| one.length == length) {
            Some(one) => one.table.insert(network),
            None => self.rest.push((network, length)),
        }
    }

    /// All of them, for looking addresses up.
    pub(super) fn into_networks(mut self) -> Networks<B> {
        self.rest.sort_unstable();
        self.rest.dedup();
        let (mut starts, mut ends) = (Vec::new(), Vec::<B>::new());
        for (network, length) in &self.rest {
            let last = *network | !B::mask(*length);
            match ends.last_mut() {
                // Sorted, so it lies in the range before, touches it, or begins another.
                Some(end) if end.next().is_none_or(|next| *network <= next) => {
                    *end = last.max(*end);
                }
                _ => {
                    starts.push(*network);
                    ends.push(last);
                }
            }
        }
        Networks {
            lengths: self.lengths,
            starts: starts.into(),
            ends: ends.into(),
            in_ranges: self.rest.len(),
        }
    }
}

impl<B: Bits> Networks<B> {
    /// Whether the address lies in one of them.
    pub(super) fn contains(&self, address: B) -> bool {
        let in_table = |one: &Length<B>| one.table.contains(address & one.mask);
        self.lengths.iter().any(in_table) || self.meets_range(address, address)
    }

    /// Starts to fetch what [`Networks::contains`] reads first.
    pub(super) fn prefetch(&self, address: B) {
        for one in &self.lengths {
            one.table.prefetch(address & one.mask);
        }
    }

    /// Whether any of these addresses lies in a range.
    fn meets_range(&self, first: B, last: B) -> bool {
        let behind = self.starts.partition_point(|start| *start <= last);
        let end = behind.checked_sub(1).and_then(|at| self.ends.get(at));
        end.is_some_and(|end| *end >= first)
    }

    /// Whether an address lies both in this network and in one of them. Goes through all that are
    /// narrower.
    pub(super) fn overlaps(&self, network: B, length: u8) -> bool {
        let mask = B::mask(length);
        let meets = |one: &Length<B>| match one.length <= length {
            true => one.table.contains(network & one.mask),
            false => one.table.iter().any(|other| other & mask == network),
        };
        self.lengths.iter().any(meets) || self.meets_range(network, network | !mask)
    }

    /// How many different networks there are.
    pub(super) fn len(&self) -> usize {
        let in_tables = self.lengths.iter().map(|one| one.table.len());
        in_tables.sum::<usize>() + self.in_ranges
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        let tables = self.lengths.iter().map(|one| one.table.memory());
        tables.sum::<usize>() + size_of_val(&*self.starts) + size_of_val(&*self.ends)
    }
}
