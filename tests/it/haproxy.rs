//! HAProxy in front of the gate, which announces clients in both versions of the PROXY protocol.

use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

use crate::harness::{
    App, Authority, Connection, Folder, Gate, Process, Trust, eventually, tls_listener, tool,
    unused_address, with_upstream,
};

const NAME: &str = "one.example";

/// A running HAProxy that passes connections on, and says from whom they are in this form.
struct Balancer {
    address: SocketAddr,
    _process: Process,
    _folder: Folder,
}

impl Balancer {
    fn before(gate: SocketAddr, form: &str) -> Balancer {
        let (folder, address) = (Folder::new(), unused_address());
        let config = folder.write(
            "haproxy.cfg",
            format!(
                "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                 listen balancer\n  bind {address}\n  server gate {gate} {form}\n"
            ),
        );
        let process = tool("haproxy", "haproxy")
            .args(["-db", "-f", &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy starts");
        let balancer = Balancer {
            address,
            _process: Process(process),
            _folder: folder,
        };
        eventually("haproxy to listen", || TcpStream::connect(address).is_ok());
        balancer
    }
}

/// A gate with a plain and a TLS listener that take headers from this machine's first address.
fn gate(app: &App) -> (Gate, Trust) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    let required = "proxy_protocol = \"required\"\n";
    let config = format!(
        "[client]\nconnections = 3\nlimit = {{ rate = \"1000/s\" }}\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n{required}{}",
        tls_listener(&[certificate], required)
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    (gate, Trust::of(&authority))
}

#[test]
fn clients_behind_haproxy_are_told_apart() {
    let app = App::echoing_paths();
    let (gate, trust) = gate(&app);
    for form in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2-ssl",
        "send-proxy check inter 50ms",
    ] {
        let balancer = Balancer::before(gate.listeners[0], form);
        for source in ["127.0.0.5", "127.0.0.6"] {
            let mut clients = [0; 3].map(|_| Connection::open_from(source, balancer.address));
            for client in &mut clients {
                assert_eq!(client.get("/").status, 200, "{form}");
                assert_eq!(
                    app.last().field("x-forwarded-for").as_deref(),
                    Some(source),
                    "{form}"
                );
            }
            let mut fourth = Connection::open_from(source, balancer.address);
            let _ = fourth.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            assert!(
                fourth.try_response().is_none(),
                "{form}: a fourth connection of {source}"
            );
        }
        eventually("the places to be given back", || {
            gate.metric("tidegate_connections_open") == 0.0
        });
        let balancer = Balancer::before(gate.listeners[1], form);
        let client = Connection::open_from("127.0.0.5", balancer.address);
        let mut client = client.try_encrypt(trust.config(), NAME).expect(form);
        assert_eq!(client.get("/").status, 200, "{form} and TLS");
        assert_eq!(
            app.last().field("x-forwarded-for").as_deref(),
            Some("127.0.0.5")
        );
    }
    assert_eq!(gate.closed("proxy_malformed"), 0.0);
}

#[test]
fn curl_announces_itself() {
    let app = App::echoing_paths();
    let (gate, _) = gate(&app);
    for (at, scheme) in ["http", "https"].into_iter().enumerate() {
        let output = tool("curl", "curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--insecure",
                "--noproxy",
                "*",
            ])
            .args(["--max-time", "20", "--haproxy-protocol"])
            .arg(format!("{scheme}://{}/said", gate.listeners[at]))
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"/said");
        let forwarded = app.last().field("x-forwarded-proto");
        assert_eq!(forwarded.as_deref(), Some(scheme));
    }
}
