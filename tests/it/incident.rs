//! The incident that the gate is built against, from the calm before it to the last step out of it:
//! the commands of the README's "During an attack", in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::Value;

use crate::harness::{
    App, Connection, Folder, Gate, Load, Reply, Request, Response, eventually, tidegate,
    with_upstream,
};

/// Known by a file.
const OFFICE: [&str; 3] = ["127.9.0.1", "127.9.0.2", "127.9.0.3"];
/// A customer who will travel.
const HOME: &str = "127.1.1.1";
const RULES: &str = r#"
[[route]]
path = "/search"
upstream = "app"
limit = { rate = "50/s", burst = 50, per = "route" }

[[route]]
path = "/login"
upstream = "app"
limit = { rate = "10/m", burst = 5, per = "client" }

[[route]]
upstream = "app"

[client]
limit = { rate = "1000/s", burst = 1000 }

[known]
files = ["known.txt"]

[known.learn]
header = "x-tidegate-known"

[known.pass]
key_file = "pass.key"

[known_only]
exempt_paths = ["/login"]

# The office asks as fast as it can, and is most of what is let in.
[known_only.reopen]
refused = "1%"
"#;

/// Everybody and everything that takes part.
struct World {
    _app: App,
    /// Searches that have reached the app.
    searches: Arc<AtomicU64>,
    gate: Gate,
    office: Load,
}

impl World {
    fn calm() -> World {
        let searches: Arc<AtomicU64> = Arc::default();
        let counted = searches.clone();
        let app = App::answering(move |request: &Request| match request.path.as_str() {
            "/login" => Reply::Full(200, vec!["X-Tidegate-Known: 1".into()], Vec::new()),
            "/search" => {
                counted.fetch_add(1, SeqCst);
                Reply::text("nothing found")
            }
            path => Reply::text(path),
        });
        let folder = Folder::new();
        folder.write("known.txt", "127.9.0.0/24  # the office\n");
        let key = folder.path("pass.key").display().to_string();
        tidegate(&["pass", "new-key", &key]).good();
        let gate = Gate::start_in(folder, &with_upstream(&[app.address], RULES));
        World {
            _app: app,
            searches,
            office: Load::from(&OFFICE, &gate),
            gate,
        }
    }

    /// A request from an address.
    fn ask(&self, source: &str, path: &str, fields: &[&str]) -> Response {
        Connection::open_from(source, self.gate.address).get_with(path, fields)
    }

    fn mode(&self) -> Value {
        self.gate.verb(&["mode", "-o", "json"]).json()
    }

    /// A customer who logs in, and the pass that comes of it.
    fn log_in(&self, source: &str) -> String {
        let reply = self.ask(source, "/login", &[]);
        assert_eq!(reply.status, 200, "{source}: {reply:?}");
        let given = reply.field("set-cookie").expect("a pass");
        given.split(';').next().unwrap().to_owned()
    }

    fn learned(&self) -> f64 {
        self.gate
            .metric("tidegate_known_prefixes{source=\"learned\"}")
    }

    /// 4,000 addresses that search, each on a new connection.
    fn flood(&self) -> Load {
        Load::from_everywhere(&self.gate, "/search", 4, |number| {
            let host = number % 4000;
            format!("127.66.{}.{}", host / 250, 1 + host % 250)
        })
    }

    /// The preview's last minute, once it knows this many clients.
    fn preview(&self, clients: u64) -> Value {
        let minute = || {
            let told = self.gate.verb(&["preview", "known-only", "-o", "json"]);
            told.json()["windows"][0].clone()
        };
        eventually("the preview to know the flood", || {
            minute()["clients"]["all"].as_u64() >= Some(clients)
        });
        minute()
    }
}

#[test]
fn the_incident_with_nobody_lost_who_is_a_customer() {
    let world = World::calm();
    for host in 1..=20 {
        world.log_in(&format!("127.1.0.{host}"));
    }
    let pass = world.log_in(HOME);
    eventually("who logged in to be known", || world.learned() == 21.0);
    let flood = world.flood();
    look_before(&world);
    switch(&world, &flood);
    newcomers(&world, &pass);
    too_early(&world, &flood);
    let flood = flood.stop();
    assert!(flood.of(503) > 0 && flood.of(0) == 0, "{flood:?}");
    open(&world);
    audited(&world);
    let office = world.office.stop();
    assert!(office.of(200) > 100, "{office:?}");
    assert_eq!(office.other_than(200), 0, "{office:?}");
}

/// What the switch would do is on screen before it is made.
fn look_before(world: &World) {
    let seen = world.preview(1000);
    let of = |name: &str| (&seen[name]["refused"], &seen[name]["all"]);
    assert_eq!(of("customers"), (&0.into(), &21.into()), "{seen:#}");
    let (refused, all) = of("clients");
    let [refused, all] = [refused, all].map(|count| count.as_u64().unwrap() as f64);
    assert!(
        refused > 0.9 * all,
        "all but the office and who logged in: {seen:#}"
    );
    let first = seen["prefixes"][0]["name"].as_str().unwrap();
    assert!(first.starts_with("127.66."), "{seen:#}");
    assert_eq!(seen["rescue"], serde_json::json!([]), "{seen:#}");
}

fn switch(world: &World, flood: &Load) {
    let verb = ["mode", "known-only", "--for", "30m", "--reason", "flood"];
    world.gate.verb(&verb).good();
    // What had been let in before the verb returned is answered.
    flood.wait_for(100);
    let searches = world.searches.load(SeqCst);
    flood.wait_for(200);
    assert_eq!(world.searches.load(SeqCst), searches, "after the switch");
    world.office.wait_for(50);
    assert_eq!(world.ask(HOME, "/", &[]).status, 200, "learned in the calm");
}

/// Customers whom the gate cannot know by their addresses.
fn newcomers(world: &World, pass: &str) {
    let new = "127.5.0.1";
    assert_eq!(world.ask(new, "/", &[]).status, 503, "unknown so far");
    assert_eq!(world.ask(new, "/login", &[]).status, 200, "exempt");
    eventually("who logged in to be served", || {
        world.ask(new, "/", &[]).status == 200
    });
    let cookie = format!("Cookie: {pass}");
    assert_eq!(world.ask("127.5.0.2", "/", &[&cookie]).status, 200);
    assert_eq!(world.ask("127.5.0.2", "/", &[]).status, 503);
    let said = world.gate.verb(&["explain", new]).good();
    assert!(said.contains("learned"), "{said}");
    // The login has its own strict limit, for strangers, too.
    let tried: Vec<u16> = (0..8)
        .map(|_| world.ask("127.5.0.3", "/login", &[]).status)
        .collect();
    assert_eq!((tried[0], tried[7]), (200, 429), "{tried:?}");
}

/// Opening while the flood is on.
fn too_early(world: &World, flood: &Load) {
    let verb = ["reopen", "--steps", "20%,100%", "--every", "1h"];
    world.gate.verb(&verb).good();
    let share = || world.mode()["admit_unknown"].clone();
    eventually("the first step", || share() == "20%");
    eventually("the step back", || share() == "0%");
    assert_eq!(world.mode()["mode"], "known-only");
    let searches = world.searches.load(SeqCst);
    flood.wait_for(200);
    assert_eq!(world.searches.load(SeqCst), searches, "after the step back");
}

/// Opening after it.
fn open(world: &World) {
    let verb = ["reopen", "--steps", "50%,100%", "--every", "1s"];
    world.gate.verb(&verb).good();
    eventually("the mode to be normal", || world.mode()["mode"] == "normal");
    assert_eq!(world.ask("127.66.0.1", "/", &[]).status, 200);
}

/// Who did what, why and until when, in the order in which it was.
fn audited(world: &World) {
    let records = || world.gate.verb(&["audit", "-o", "json"]).json();
    eventually("all steps to be written down", || {
        records().as_array().map(Vec::len) == Some(7)
    });
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or("").to_owned();
    let told: Vec<String> = records()
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            let by = if record["by"] == "tidegate" {
                "gate"
            } else {
                "operator"
            };
            let reason = text(record, "reason")
                .split(": ")
                .next()
                .unwrap()
                .to_owned();
            format!(
                "{by}: {} {}: {reason}",
                text(record, "what"),
                text(record, "to")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "operator: mode known-only: flood",
            "operator: reopen steps 20%,100% every 3600 s: ",
            "gate: mode known-only, 20% of unknown clients admitted: the first step",
            "gate: mode known-only: stepped back",
            "operator: reopen steps 50%,100% every 1 s: ",
            "gate: mode known-only, 50% of unknown clients admitted: the first step",
            "gate: mode normal: no sign of an attack",
        ]
    );
    let before = &records()[0]["before"];
    assert!(before["refused"].as_f64() > Some(0.0), "{before}");
}
