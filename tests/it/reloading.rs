//! A new configuration while the gate runs: all of it or nothing, and nobody notices.

use std::process::Command;

use crate::harness::{App, Folder, Gate, Load, Reply, eventually, tidegate, with_upstream};

/// A configuration with this burst, and as many requests an hour.
fn burst(app: &App, burst: u32) -> String {
    let limit = format!("[client]\nlimit = {{ rate = \"1/h\", burst = {burst} }}\n");
    with_upstream(&[app.address], &limit)
}

fn is_successful(gate: &Gate) -> bool {
    gate.metric("tidegate_config_last_reload_successful") == 1.0
}

#[test]
fn it_prints_what_changed() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 5));
    let said = gate.verb(&["reload"]).good();
    assert!(said.contains("nothing is different"), "{said}");
    gate.folder.configure(&format!(
        "{}[deadlines]\nkeepalive = \"5s\"\n",
        burst(&app, 9)
    ));
    let said = gate.verb(&["reload"]).good();
    for line in [
        "2 changes",
        "client.limit.burst: 5 -> 9",
        "deadlines.keepalive: default -> \"5s\"",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    gate.folder.configure(&burst(&app, 9));
    let changed = gate.verb(&["reload", "-o", "json"]).json();
    assert_eq!(
        changed["changes"][0],
        "deadlines.keepalive: \"5s\" -> default"
    );
    gate.says("reloaded: client.limit.burst: 5 -> 9");
}

#[test]
fn a_socket_that_the_command_line_names_stays() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.configure(&burst(&app, 5));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let named = folder.path("named.sock");
    let gate = Gate::run(folder, command.arg("--admin").arg(&named));
    gate.folder.configure(&burst(&app, 9));
    let verb = ["--admin", named.to_str().unwrap(), "reload"];
    let said = tidegate(&verb).good();
    assert!(said.contains("client.limit.burst: 5 -> 9"), "{said}");
}

#[test]
fn what_a_client_has_used_is_not_forgotten() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 5));
    let mut client = gate.connect();
    let statuses = [0; 6].map(|_| client.get("/").status);
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    gate.folder.configure(&burst(&app, 8));
    gate.verb(&["reload"]).good();
    let statuses = [0; 5].map(|_| client.get("/").status);
    assert_eq!(statuses, [200, 200, 200, 429, 429], "three more, not eight");
    gate.folder.configure(&burst(&app, 2));
    gate.verb(&["reload"]).good();
    let refusal = client.get("/");
    assert_eq!(
        refusal.field("ratelimit-policy"),
        Some("\"client\";q=2;w=7200")
    );
}

#[test]
fn a_signal_reloads_too() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 1));
    let mut client = gate.connect();
    assert_eq!([client.get("/").status, client.get("/").status], [200, 429]);
    gate.folder.configure(&burst(&app, 3));
    gate.signal("HUP");
    eventually("the signal to be obeyed", || {
        gate.has_said("reloaded: 1 changes")
    });
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn no_request_fails_while_limits_are_changed_under_load() {
    let app = App::echoing_paths();
    let config = |burst: u32| {
        let limit = format!("[client]\nlimit = {{ rate = \"100000/s\", burst = {burst} }}\n");
        with_upstream(&[app.address], &limit)
    };
    let gate = Gate::start(&config(500_000));
    let load = Load::from(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], &gate);
    for round in 1..=4 {
        load.wait_for(20);
        gate.folder.configure(&config(500_000 + 2 * round));
        gate.verb(&["reload"]).good();
        load.wait_for(20);
        gate.folder.configure(&config(500_001 + 2 * round));
        gate.signal("HUP");
        let said = format!("-> {}", 500_001 + 2 * round);
        eventually("the signal to be obeyed", || gate.has_said(&said));
    }
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
    assert_eq!(
        gate.metric("tidegate_config_reload_total{outcome=\"succeeded\"}"),
        8.0
    );
}

#[test]
fn a_broken_file_leaves_the_old_configuration_in_force() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 3));
    let mut client = gate.connect();
    assert_eq!(client.get("/").status, 200);
    let good = std::fs::read_to_string(gate.folder.path("tidegate.toml")).unwrap();
    let half = &good[..good.find("burst").unwrap()];
    let wrong = good.replace("burst = 3", "bursts = 30");
    for broken in ["", half, &wrong] {
        gate.folder.write("tidegate.toml", broken);
        let output = gate.verb(&["reload"]);
        assert!(matches!(output.code, 1 | 2), "{broken:?}: {output:?}");
        assert_eq!(output.stdout, "", "{broken:?}");
        assert!(output.stderr.contains("tidegate.toml"), "{}", output.stderr);
        assert!(!is_successful(&gate), "{broken:?}");
        let problem = gate.status()["reload_problem"].as_str().unwrap().to_owned();
        assert!(problem.contains("tidegate.toml"), "{problem}");
    }
    let output = gate.verb(&["reload"]);
    assert!(
        output.stderr.contains("tidegate.toml:2"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("bursts"), "{}", output.stderr);
    gate.says("not reloaded, the running configuration stays");
    let human = gate.verb(&["status"]).good();
    assert!(human.contains("LAST RELOAD FAILED"), "{human}");
    let statuses = [0; 3].map(|_| client.get("/").status);
    assert_eq!(statuses, [200, 200, 429], "the old limit holds");
    gate.folder.write("tidegate.toml", &good);
    gate.verb(&["reload"]).good();
    assert!(is_successful(&gate));
    assert_eq!(gate.status()["reload_problem"], serde_json::Value::Null);
    let failed = gate.metric("tidegate_config_reload_total{outcome=\"failed\"}");
    assert_eq!(failed, 4.0);
}

#[test]
fn a_file_that_is_gone_leaves_the_old_configuration_in_force() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 3));
    std::fs::remove_file(gate.folder.path("tidegate.toml")).unwrap();
    let output = gate.verb(&["reload"]);
    assert!(matches!(output.code, 1 | 2), "{output:?}");
    assert!(output.stderr.contains("tidegate.toml"), "{}", output.stderr);
    gate.signal("HUP");
    eventually("the signal to be answered", || {
        gate.metric("tidegate_config_reload_total{outcome=\"failed\"}") == 2.0
    });
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn what_only_a_restart_can_change_is_named_and_nothing_else_is_changed() {
    let app = App::echoing_paths();
    let gate = Gate::start(&burst(&app, 1));
    let mut client = gate.connect();
    assert_eq!([client.get("/").status, client.get("/").status], [200, 429]);
    let moved = format!(
        "{}\n[[listener]]\naddress = \"127.0.0.1:1\"\n",
        burst(&app, 100)
    );
    gate.folder.configure(&moved);
    let output = gate.verb(&["reload"]);
    assert_eq!(output.code, 1, "{output:?}");
    for word in ["listener.address", "upgrade", "nothing was changed"] {
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    assert!(!is_successful(&gate));
    assert_eq!(client.get("/").status, 429, "the new limit came with it");
}

#[test]
fn a_broken_file_of_known_customers_changes_nothing() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("known.txt", "127.0.0.1\n127.0.0.2\n");
    let text = format!("{}[known]\nfiles = [\"known.txt\"]\n", burst(&app, 9));
    let gate = Gate::start_in(folder, &text);
    gate.folder.write("known.txt", "127.0.0.1\n127.0.0.2.5\n");
    let output = gate.verb(&["reload"]);
    assert!(matches!(output.code, 1 | 2), "{output:?}");
    assert!(output.stderr.contains("known.txt:2"), "{}", output.stderr);
    assert_eq!(gate.status()["known"]["prefixes"], 2);
    gate.folder
        .write("known.txt", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    gate.verb(&["reload"]).good();
    gate.says("known prefixes: 2 -> 3");
}

#[test]
fn a_file_of_known_customers_that_was_cut_or_emptied_changes_nothing() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("known.txt", "127.0.0.1\n127.0.0.2\n127.0.0.3\n");
    let text = format!("{}[known]\nfiles = [\"known.*\"]\n", burst(&app, 9));
    let gate = Gate::start_in(folder, &text);
    for (cut, said) in [
        ("", "only 0 of 3"),
        ("127.0.0.1\n", "only 1 of 3"),
        ("127.0.0.1\n127.0.0.2\n127.0.0.3/1", "no end"),
        ("127.0.0.1\n127.0.0.2\n127.0.0", "known.txt:3"),
    ] {
        gate.folder.write("known.txt", cut);
        let output = gate.verb(&["reload"]);
        assert!(matches!(output.code, 1 | 2), "{cut:?}: {output:?}");
        assert!(output.stderr.contains(said), "{cut:?}: {}", output.stderr);
        assert_eq!(gate.status()["known"]["prefixes"], 3, "{cut:?}");
    }
    std::fs::remove_file(gate.folder.path("known.txt")).unwrap();
    assert_eq!(
        gate.verb(&["reload"]).code,
        1,
        "the pattern matches nothing"
    );
    gate.folder.write("known.txt", "127.0.0.1\n127.0.0.2\n");
    gate.verb(&["reload"]).good();
    gate.folder.write("known.txt", "");
    gate.verb(&["reload", "--force"]).good();
    assert_eq!(gate.status()["known"]["prefixes"], 0, "it was insisted on");
}

#[test]
fn upstreams_and_routes_come_and_go() {
    let (first, second) = (
        App::answering(|_| Reply::text("first")),
        App::answering(|_| Reply::text("second")),
    );
    let one = with_upstream(&[first.address], "");
    let gate = Gate::start(&one);
    let mut client = gate.connect();
    assert_eq!(client.get("/new").text(), "first");
    let two = format!(
        "{one}[upstream.new]\nservers = [\"{}\"]\n[[route]]\npath = \"/new\"\nupstream = \"new\"\n\
         [[route]]\nupstream = \"app\"\n",
        second.address
    );
    gate.folder.configure(&two);
    gate.verb(&["reload"]).good();
    assert_eq!(client.get("/new").text(), "second");
    assert_eq!(client.get("/").text(), "first");
    let status = gate.status();
    let names: Vec<&str> = status["upstreams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|upstream| upstream["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app", "new"]);
    assert_eq!(
        status["upstreams"][0]["succeeded"], 2,
        "an upstream that stays keeps its counters"
    );
    gate.folder.configure(&with_upstream(&[second.address], ""));
    gate.verb(&["reload"]).good();
    assert_eq!(client.get("/").text(), "second");
}

#[test]
fn a_request_under_way_keeps_the_upstream_that_is_removed() {
    let latch = crate::harness::Latch::new();
    let waiting = latch.clone();
    let first = App::answering(move |_| {
        waiting.wait();
        Reply::text("first")
    });
    let second = App::answering(|_| Reply::text("second"));
    let gate = Gate::start(&with_upstream(&[first.address], ""));
    let mut client = gate.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to be under way", || first.requests() == 1);
    gate.folder.configure(&with_upstream(&[second.address], ""));
    gate.verb(&["reload"]).good();
    assert_eq!(gate.get("/").text(), "second");
    latch.open();
    assert_eq!(client.response().text(), "first");
    assert_eq!(client.get("/").text(), "second");
}

#[test]
fn caps_and_deadlines_change_for_open_connections() {
    let app = App::echoing_paths();
    let gate = Gate::start(&with_upstream(
        &[app.address],
        "[client]\nconnections = 2\n",
    ));
    let mut open = [gate.connect(), gate.connect()];
    for client in &mut open {
        assert_eq!(client.get("/").status, 200);
    }
    let config = "[client]\nconnections = 5\n[deadlines]\nkeepalive = \"200ms\"\n";
    gate.folder
        .configure(&with_upstream(&[app.address], config));
    gate.verb(&["reload"]).good();
    assert_eq!(gate.get("/").status, 200, "a third connection");
    for client in &mut open {
        assert_eq!(client.get("/").status, 200);
        assert!(
            client.is_closed(),
            "the new deadline holds from the next request on"
        );
    }
}
