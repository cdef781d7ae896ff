//! Changes under load: nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{NAME, serving};
use crate::handing_over::{gate_in, upgrade};
use crate::harness::{App, Authority, Folder, Http2, ROOMY, Trust, eventually, http2_listener};

/// Clients that ask again and again, each on one connection while the gate keeps it.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(address: SocketAddr, trust: &Trust, clients: usize) -> Load {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |_| {
            let (stop, served, trust) = (stop.clone(), served.clone(), trust.clone());
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let client = Http2::try_open_at(address, &trust).expect("the gate is there");
                    while !stop.load(SeqCst) {
                        let Some(status) = client.attempt("/load") else {
                            break;
                        };
                        assert_eq!(status, 200);
                        served.fetch_add(1, SeqCst);
                    }
                }
            })
        };
        Load {
            clients: (0..clients).map(client).collect(),
            stop,
            served,
        }
    }

    fn wait_for(&self, more: u64) {
        let before = self.served.load(SeqCst);
        eventually("the load to go on", || {
            self.served.load(SeqCst) >= before + more
        });
    }

    /// Ends all clients, none of which saw a failure, and says how many answers they had.
    fn stop(self) -> u64 {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            client.join().expect("no request failed");
        }
        self.served.load(SeqCst)
    }
}

#[test]
fn no_request_fails_when_the_process_changes() {
    let app = App::echoing_paths();
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    let listener = http2_listener(&[certificate], "");
    let mut gate = gate_in(folder, &app, &format!("{ROOMY}{listener}"));
    let load = Load::on(gate.address, &Trust::of(&authority), 4);
    for _ in 0..3 {
        load.wait_for(100);
        upgrade(&gate);
    }
    load.wait_for(100);
    let served = load.stop();
    assert_eq!(app.requests(), served, "requests that were sent twice");
    assert!(gate.wait().success(), "the first process");
}

#[test]
fn no_request_fails_when_certificates_are_read_again() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, ROOMY);
    let load = Load::on(gate.address, &trust, 4);
    for _ in 0..10 {
        let next = Instant::now() + Duration::from_millis(100);
        gate.verb(&["reload"]).good();
        load.wait_for(10);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let served = load.stop();
    assert_eq!(app.requests(), served, "requests that were sent twice");
}

#[test]
fn no_request_fails_when_connections_have_had_their_requests() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, &ROOMY.replace("1_000_000_000", "7"));
    let load = Load::on(gate.address, &trust, 4);
    load.wait_for(200);
    let served = load.stop();
    assert_eq!(app.requests(), served, "requests that were sent twice");
    assert!(gate.ended("requests_limit") > 10.0);
}
