//! Programs that were not written for this: nginx as the app, curl, wrk and slowhttptest as clients.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{
    Folder, Gate, PATIENCE, Process, ROOMY, eventually, pattern, tool, unused_address,
    with_upstream,
};

const FILE: usize = 20 * 1024 * 1024;

/// A running nginx that serves the files of a folder and takes more by PUT.
struct Nginx {
    address: SocketAddr,
    files: PathBuf,
    _process: Process,
    _folder: Folder,
}

impl Nginx {
    fn start() -> Nginx {
        let folder = Folder::new();
        let address = unused_address();
        let prefix = folder.path("nginx");
        let files = prefix.join("files");
        fs::create_dir_all(&files).unwrap();
        folder.write("nginx/nginx.conf", configuration(address));
        let process = tool("nginx", "nginx-light")
            .arg("-p")
            .arg(&prefix)
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nginx = Nginx {
            address,
            files,
            _process: Process(process),
            _folder: folder,
        };
        eventually("nginx to listen", || TcpStream::connect(address).is_ok());
        nginx
    }
}

fn configuration(address: SocketAddr) -> String {
    // Workers of a root's nginx are somebody else, who cannot read a temporary folder.
    let root =
        fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let user = if root { "user root;" } else { "" };
    format!(
        "{user} daemon off; master_process off; worker_processes 1; pid nginx.pid;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; client_max_body_size 64m; keepalive_requests 1000000;
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;
           server {{
             listen {address};
             location / {{ root files; dav_methods PUT; }}
             location /said {{ default_type text/plain; return 200 \"$request_method $http_x_forwarded_for $http_via\\n\"; }}
           }}
         }}"
    )
}

fn curl() -> Command {
    let mut curl = tool("curl", "curl");
    let patience = PATIENCE.as_secs().to_string();
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--noproxy",
        "*",
        "--max-time",
        &patience,
    ]);
    curl
}

/// The standard output of a program that must succeed.
fn good(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn same(left: &Path, right: &Path) -> bool {
    fs::read(left).unwrap() == fs::read(right).unwrap()
}

fn before(nginx: &Nginx) -> Gate {
    Gate::start(&with_upstream(&[nginx.address], ROOMY))
}

#[test]
fn a_large_file_goes_down_and_up() {
    let nginx = Nginx::start();
    let gate = before(&nginx);
    let original = nginx.files.join("original");
    fs::write(&original, pattern(FILE)).unwrap();
    let url = |name: &str| format!("http://{}/{name}", gate.address);
    let down = gate.folder.path("down");
    good(curl().arg("--output").arg(&down).arg(url("original")));
    assert!(same(&original, &down), "another file came down");
    good(curl().arg("--upload-file").arg(&original).arg(url("up")));
    assert!(
        same(&original, &nginx.files.join("up")),
        "another file went up"
    );
    let chunked = ["--header", "Transfer-Encoding: chunked"];
    good(
        curl()
            .args(chunked)
            .arg("--upload-file")
            .arg(&original)
            .arg(url("chunked")),
    );
    assert!(
        same(&original, &nginx.files.join("chunked")),
        "other chunks went up"
    );
}

#[test]
fn parts_conditions_and_heads_of_files_are_nginxs() {
    let nginx = Nginx::start();
    let gate = before(&nginx);
    let file = pattern(100_000);
    fs::write(nginx.files.join("file"), &file).unwrap();
    let mut client = gate.connect();
    let whole = client.get("/file");
    assert!(whole.body == file);
    let part = client.get_with("/file", &["Range: bytes=500-999"]);
    assert_eq!(part.status, 206);
    assert!(part.body == file[500..1000]);
    let etag = format!("If-None-Match: {}", whole.field("etag").unwrap());
    assert_eq!(client.get_with("/file", &[&etag]).status, 304);
    client.send("HEAD /file HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(
        client.response_to_head().field("content-length"),
        Some("100000")
    );
    assert_eq!(client.get("/missing").status, 404);
    assert_eq!(client.get("/said").text(), "GET 127.0.0.1 1.1 tidegate\n");
}

#[test]
fn curl_keeps_one_connection_for_many_requests() {
    let nginx = Nginx::start();
    let gate = before(&nginx);
    let url = format!("http://{}/said?[1-50]", gate.address);
    let said = good(curl().args(["--write-out", "%{num_connects}\n"]).arg(url));
    let opened: u32 = said
        .lines()
        .filter_map(|line| line.parse::<u32>().ok())
        .sum();
    assert_eq!(opened, 1, "connections for 50 requests");
    assert_eq!(said.matches("GET 127.0.0.1 1.1 tidegate").count(), 50);
}

#[test]
fn curl_over_http_1_0_gets_its_file() {
    let nginx = Nginx::start();
    let gate = before(&nginx);
    fs::write(nginx.files.join("file"), pattern(100_000)).unwrap();
    let down = gate.folder.path("down");
    let url = format!("http://{}/file", gate.address);
    good(curl().arg("--http1.0").arg("--output").arg(&down).arg(url));
    assert!(same(&nginx.files.join("file"), &down));
}

#[test]
fn wrk_sees_no_error() {
    let nginx = Nginx::start();
    let gate = before(&nginx);
    fs::write(nginx.files.join("small"), pattern(1000)).unwrap();
    let said = good(
        tool("wrk", "wrk")
            .args(["--threads", "1", "--connections", "16", "--duration", "2s"])
            .arg(format!("http://{}/small", gate.address)),
    );
    assert!(!said.contains("Socket errors"), "{said}");
    assert!(!said.contains("Non-2xx"), "{said}");
    assert!(said.contains("Requests/sec"), "{said}");
    let requests = gate.status()["requests"].clone();
    assert!(
        requests["forwarded"].as_u64() > Some(100),
        "{requests:#}\n{said}"
    );
    assert_eq!(requests["refused"], 0, "{requests:#}");
}

/// Connections that slowhttptest opens, within a second; 1024 open files are enough for them.
const SLOW: u32 = 300;
/// After how many seconds it closes what is left of them.
const LASTING: u32 = 8;

/// Sets slowhttptest on a gate whose deadlines are a second each. The gate has to bring all of its
/// connections to one of these ends, and to serve others meanwhile.
fn outlasts(mode: &[&str], path: &str, ends: &[(&str, &str)]) {
    let nginx = Nginx::start();
    fs::write(nginx.files.join("large"), pattern(FILE)).unwrap();
    let config = format!(
        "{ROOMY}[deadlines]\nrequest_header = \"1s\"\nkeepalive = \"1s\"\n\
         request_body_idle = \"1s\"\nresponse_body_idle = \"1s\"\n"
    );
    let gate = Gate::start(&with_upstream(&[nginx.address], &config));
    let report = gate.folder.path("report");
    let output = tool("slowhttptest", "slowhttptest")
        .args(mode)
        .args(["-c", &SLOW.to_string(), "-r", &SLOW.to_string()])
        .args(["-l", &LASTING.to_string(), "-p", "5", "-g", "-o"])
        .arg(&report)
        .args(["-u", &format!("http://{}/{path}", gate.address)])
        .stdin(Stdio::null())
        .output()
        .expect("slowhttptest runs");
    assert!(output.status.success(), "{output:?}");
    // One row a second, which ends in zero when a connection beside these was not served.
    let report = fs::read_to_string(report.with_extension("csv")).unwrap();
    let rows: Vec<_> = report.lines().skip(1).collect();
    let served = |row: &&str| !row.ends_with(",0");
    assert!(rows.len() > 1 && rows.iter().all(served), "{report}");
    let ended = ends
        .iter()
        .map(|(outcome, reason)| gate.requests(outcome, reason));
    assert_eq!(
        ended.sum::<f64>(),
        f64::from(SLOW),
        "{report}{:#}",
        gate.status()
    );
}

#[test]
fn slowhttptest_with_slow_headers_ends_in_time() {
    outlasts(&["-H", "-i", "1"], "said", &[("refused", "head_timeout")]);
}

#[test]
fn slowhttptest_with_slow_bodies_ends_in_time() {
    let ends = [("failed", "body_too_slow"), ("failed", "body_timeout")];
    outlasts(&["-B", "-i", "1", "-s", "8192"], "said", &ends);
}

#[test]
fn slowhttptest_with_slow_readers_ends_in_time() {
    // Windows of a few bytes, of which some are read now and then.
    let mode = ["-X", "-n", "1", "-w", "512", "-y", "1024", "-z", "32"];
    let ends = [
        ("failed", "response_too_slow"),
        ("failed", "response_stalled"),
    ];
    outlasts(&mode, "large", &ends);
}
