//! The tenants that the configuration and its files list.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tidegate_config::{Config, Listed, TenantFrom};

use super::line::{Reader, Written};
use super::spellings;
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
            columns: &[],
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

    /// What the tenant is called that requests tell by this.
    pub fn called(&self, told_by: &str) -> Option<&str> {
        let (told_by, row) = self.entries.get_key_value(told_by)?;
        Some(row.listed.name.as_ref().unwrap_or(told_by))
    }

    /// What the tenant is called that an operator means: by what requests tell it by, in any of its
    /// spellings, or by its name.
    pub fn name_of(&self, from: &TenantFrom, text: &str) -> Option<&str> {
        let told = spellings(from, text)
            .into_iter()
            .find_map(|told_by| self.called(&told_by));
        let mut names = self
            .entries
            .values()
            .filter_map(|row| row.listed.name.as_deref());
        told.or_else(|| names.find(|name| *name == text))
    }

    /// What is different in the next one, for people; `None` when nothing is.
    pub fn changes(&self, next: &Roster) -> Option<String> {
        let (before, after) = (self.len(), next.len());
        let there = |told_by: &String| next.entries.get(told_by);
        let gone = self
            .entries
            .keys()
            .filter(|told_by| there(told_by).is_none());
        let gone = gone.count();
        let differs = |(told_by, row): &(&String, &Row)| {
            there(told_by).is_some_and(|other| other.listed != row.listed)
        };
        let changed = self.entries.iter().filter(differs).count();
        let added = (after + gone).saturating_sub(before);
        (added + gone + changed > 0).then(|| {
            format!("listed tenants: {before} -> {after} ({added} added, {gone} gone, {changed} changed)")
        })
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
        if let Some(first) = self.entries.get(&told_by) {
            return self.repeated(first.place(), first.listed == row.listed, &row);
        }
        self.refuse_contradicted(&told_by, &row)?;
        if let Some(name) = &row.listed.name {
            self.called.insert(name.clone(), told_by.clone());
        }
        self.entries.insert(told_by, row);
        Ok(())
    }

    /// The same twice is no harm; only one of two that differ can be meant.
    fn repeated(&mut self, first: String, same: bool, row: &Row) -> Result<(), String> {
        if !same {
            return Err(format!(
                "it stands at {first} already, with another tier, name or limits: keep one of the two"
            ));
        }
        if self.repeated == 0 {
            // Not the tenant itself: it may be a credential, and this is for the log.
            self.first_repeated = format!("{} as {first}", row.place());
        }
        self.repeated += 1;
        Ok(())
    }

    /// What has one name is one tenant, whatever tells it.
    fn refuse_contradicted(&self, told_by: &str, row: &Row) -> Result<(), String> {
        let name = row.listed.name.as_deref().unwrap_or(told_by);
        let is_called_so =
            |other: &&Row| other.listed.name.as_deref().is_none_or(|its| its == name);
        let namesake = self.called.get(name).map_or(name, String::as_str);
        match self.entries.get(namesake).filter(is_called_so) {
            Some(other) if !other.listed.agrees_with(&row.listed) => Err(format!(
                "the tenant {name:?} stands at {} already, with another tier or other limits; what \
                 has one name has one budget: write the same in both, or another name",
                other.place()
            )),
            _ => Ok(()),
        }
    }

    fn into_roster(self) -> Roster {
        let mut warnings = Vec::new();
        if self.repeated > 0 {
            let lines = match self.repeated {
                1 => "1 line repeats".to_owned(),
                count => format!("{count} lines repeat"),
            };
            warnings.push(format!(
                "tenant.files: {lines} what is listed already, the first at {}",
                self.first_repeated
            ));
        }
        Roster {
            entries: self.entries,
            warnings,
        }
    }
}
