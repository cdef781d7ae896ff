//! What a scrape says, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{App, Authority, Connection, Folder, Gate, tls_listener, with_upstream};

/// The labels of one series.
pub type Labels = BTreeMap<String, String>;

/// One metric.
#[derive(Debug)]
pub struct Family {
    pub help: String,
    pub kind: String,
    /// The labels of each of its series, by the series' name: a histogram has three.
    pub series: Vec<(String, Labels)>,
}

/// Every metric by its name.
pub struct Exposition(pub BTreeMap<String, Family>);

impl Exposition {
    /// That of a gate which has everything of which there are metrics.
    pub fn of_everything() -> Exposition {
        let app = App::echoing_paths();
        let folder = Folder::new();
        let certificate = Authority::new().issue(&["one.example"]);
        let listener = tls_listener(&[certificate.write(&folder, "gate")], "");
        let gate = Gate::start_in(folder, &with_upstream(&[app.address], &listener));
        Exposition::read(&Connection::open(gate.metrics).get("/metrics").text())
    }

    fn read(text: &str) -> Exposition {
        let mut families = BTreeMap::new();
        let mut name = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (named, help) = rest.split_once(' ').unwrap();
                name = named;
                let family = Family {
                    help: help.to_owned(),
                    kind: String::new(),
                    series: Vec::new(),
                };
                families.insert(name.to_owned(), family);
                continue;
            }
            let family = families.get_mut(name).unwrap();
            match line.strip_prefix("# TYPE ") {
                Some(rest) => family.kind = rest.split_once(' ').unwrap().1.to_owned(),
                None => family.series.push(series(line)),
            }
        }
        Exposition(families)
    }

    /// The labels of all series of this name.
    pub fn series(&self, name: &str) -> Vec<&Labels> {
        let all = self.0.values().flat_map(|family| &family.series);
        let named = all.filter(|(series, _)| series == name);
        named.map(|(_, labels)| labels).collect()
    }
}

impl Family {
    /// The values of a label, in their order.
    pub fn values(&self, label: &str) -> BTreeSet<&str> {
        let labels = self.series.iter().filter_map(|(_, all)| all.get(label));
        labels.map(String::as_str).collect()
    }

    /// The names of its labels; `le` belongs to every histogram.
    pub fn labels(&self) -> BTreeSet<&str> {
        let all = self.series.iter().flat_map(|(_, labels)| labels.keys());
        all.map(String::as_str)
            .filter(|name| *name != "le")
            .collect()
    }
}

/// A series and its labels, whose values have no quotes here.
fn series(line: &str) -> (String, Labels) {
    let (series, _value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap();
    let pairs = labels.split_terminator("\",");
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once("=\"").unwrap();
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), pairs.collect())
}
