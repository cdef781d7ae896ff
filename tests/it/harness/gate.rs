//! The real binary, started and ended by the test.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::{App, Connection, PATIENCE, Response, Trust, eventually};

/// What a verb printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The standard output, of a verb that must have succeeded.
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "the verb failed: {self:#?}");
        self.stdout
    }

    /// The standard output of a verb that must have succeeded, as JSON.
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.good()).expect("the verb prints JSON")
    }
}

/// Runs the binary with these arguments, to its end.
pub fn tidegate(arguments: &[&str]) -> Output {
    finish(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments))
}

fn finish(command: &mut Command) -> Output {
    let mut child = command
        .env_remove("TIDEGATE_ADMIN")
        .env_remove("TIDEGATE_ADMIN_TOKEN_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let ended = end_within_patience(&mut child);
    let killed = ended.is_none().then(|| child.kill());
    let output = Output {
        code: ended.and_then(|status| status.code()).unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    assert!(killed.is_none(), "{command:?} did not end: {output:#?}");
    output
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How a process ended, if it did in time.
pub(super) fn end_within_patience(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(std::time::Duration::from_millis(2));
    }
    None
}

/// A temporary folder with a configuration and everything else a gate keeps.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path as text.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes the configuration: `text`, and what every test needs: a listener, sockets and folders
    /// that are free, nothing left out of the log. A table that `text` has itself is left to it.
    pub fn configure(&self, text: &str) -> PathBuf {
        let root = self.0.path().display();
        let mut whole = text.to_owned();
        for (table, lines) in [
            ("[[listener]]", "address = \"127.0.0.1:0\"".to_owned()),
            ("[admin]", format!("socket = \"{root}/admin.sock\"")),
            ("[metrics]", "address = \"127.0.0.1:0\"".to_owned()),
            ("[state]", format!("directory = \"{root}/state\"")),
            (
                "[log]",
                format!(
                    "file = \"{root}/access.log\"\nsample = {{ forwarded = 1.0, refused = 1.0, failed = 1.0 }}\nbudget = \"64MiB/s\""
                ),
            ),
        ] {
            if !text.contains(table) {
                whole.push_str(&format!("\n{table}\n{lines}\n"));
            }
        }
        let path = self.path("tidegate.toml");
        fs::write(&path, whole).unwrap();
        path
    }
}

/// A running gate. It is killed when dropped.
pub struct Gate {
    child: Child,
    pub folder: Folder,
    /// Its first listener.
    pub address: SocketAddr,
    /// All of its listeners.
    pub listeners: Vec<SocketAddr>,
    pub metrics: SocketAddr,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// A gate in front of one app, with this much more configuration.
    pub fn before(app: &App, text: &str) -> Gate {
        Gate::start(&with_upstream(&[app.address], text))
    }

    /// A gate with this configuration, completed by [`Folder::configure`].
    pub fn start(text: &str) -> Gate {
        Gate::start_in(Folder::new(), text)
    }

    /// A gate that finds in its folder what an earlier one has left.
    pub fn start_in(folder: Folder, text: &str) -> Gate {
        Gate::launch(folder, text, Command::new(env!("CARGO_BIN_EXE_tidegate")))
    }

    /// A gate in front of one app that may have so many files open and not more.
    pub fn with_files(app: &App, text: &str, files: u32) -> Gate {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_tidegate")]);
        Gate::launch(Folder::new(), &with_upstream(&[app.address], text), shell)
    }

    /// A gate whose memory tells what it holds: what it frees goes back to the system at once, where it
    /// would be kept for a while, by each thread for itself.
    pub fn without_spare_memory(folder: Folder, text: &str) -> Gate {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        program.env(
            "_RJEM_MALLOC_CONF",
            "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0",
        );
        Gate::launch(folder, text, program)
    }

    pub(super) fn launch(folder: Folder, text: &str, mut program: Command) -> Gate {
        let config = folder.configure(text);
        program.args(["run", "--config"]).arg(config);
        Gate::of(folder, program.stdin(Stdio::null()))
    }

    /// A gate that this command runs. It, and whatever takes over from it, ends with the test.
    pub fn run(folder: Folder, command: &mut Command) -> Gate {
        command.args(["run", "--exit-with-stdin", "--config"]);
        command.arg(folder.path("tidegate.toml"));
        Gate::of(folder, command.stdin(Stdio::piped()))
    }

    fn of(folder: Folder, command: &mut Command) -> Gate {
        let mut child = command
            .env_remove("TIDEGATE_ADMIN")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let messages = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let collected = messages.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        let mut gate = Gate {
            child,
            folder,
            address: "0.0.0.0:0".parse().unwrap(),
            listeners: Vec::new(),
            metrics: "0.0.0.0:0".parse().unwrap(),
            messages,
        };
        gate.wait_until_up();
        gate
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_said("INFO mode ") {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the gate did not start ({ended:?}): {:#?}",
                self.messages()
            );
            thread::sleep(std::time::Duration::from_millis(2));
        }
        self.listeners = self.announced("listening on ");
        self.address = self.listeners[0];
        self.metrics = self.announced("metrics on ")[0];
    }

    /// The addresses of the URLs that follow these words.
    pub fn announced(&self, before: &str) -> Vec<SocketAddr> {
        let messages = self.messages();
        let said = messages.iter().filter_map(|line| line.split_once(before));
        let said = said.filter_map(|(_, rest)| rest.split_once("://"));
        let addresses = said.map(|(_, rest)| {
            let end = rest.find([',', '/']).unwrap_or(rest.len());
            rest[..end].parse().unwrap()
        });
        let addresses: Vec<SocketAddr> = addresses.collect();
        assert!(!addresses.is_empty(), "no {before:?} in {messages:#?}");
        addresses
    }

    /// Everything that it has written to standard error.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// How many of those lines have these words.
    pub fn said(&self, words: &str) -> usize {
        let messages = self.messages();
        messages.iter().filter(|line| line.contains(words)).count()
    }

    pub fn has_said(&self, text: &str) -> bool {
        self.said(text) > 0
    }

    /// Waits for a line with these words: what the gate writes passes its queue and a pipe, so it is later
    /// here than its effect.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_said(words) {
            let said = self.messages();
            assert!(Instant::now() < deadline, "no {words:?} in {said:#?}");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Waits for a line with these words, and there may be one only.
    #[track_caller]
    pub fn says_once(&self, words: &str) {
        self.says(words);
        let said = self.messages();
        assert_eq!(self.said(words), 1, "{words:?}: {said:#?}");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a verb against it.
    pub fn verb(&self, arguments: &[&str]) -> Output {
        let socket = self.folder.path("admin.sock");
        finish(
            Command::new(env!("CARGO_BIN_EXE_tidegate"))
                .arg("--admin")
                .arg(socket)
                .args(arguments),
        )
    }

    /// `status` as JSON.
    pub fn status(&self) -> serde_json::Value {
        self.verb(&["status", "-o", "json"]).json()
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// A connection over TLS to the server of this name.
    pub fn encrypted(&self, trust: &Trust, name: &str) -> Connection {
        let connection = self.try_encrypted(trust, name);
        connection.expect("the gate completes the handshake")
    }

    pub fn try_encrypted(&self, trust: &Trust, name: &str) -> std::io::Result<Connection> {
        self.connect().try_encrypt(trust.config(), name)
    }

    /// How many connections were closed at the door for this reason.
    pub fn closed(&self, reason: &str) -> f64 {
        self.metric(&format!(
            "tidegate_connections_total{{outcome=\"refused\",reason=\"{reason}\"}}"
        ))
    }

    /// How many connections that were let in have ended for this reason.
    pub fn ended(&self, reason: &str) -> f64 {
        self.metric(&format!(
            "tidegate_connections_closed_total{{reason=\"{reason}\"}}"
        ))
    }

    /// Kilobytes of memory that it has in use.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A GET on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.connect().get(path)
    }

    /// Sends bytes on a connection of its own and gives the response.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.response()
    }

    /// The value of a metric as it is written in the exposition, labels included; 0 when absent.
    pub fn metric(&self, name: &str) -> f64 {
        let text = Connection::open(self.metrics).get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |rest| rest.trim().parse().unwrap_or(f64::NAN))
    }

    /// How many requests had this outcome for this reason.
    pub fn requests(&self, outcome: &str, reason: &str) -> f64 {
        self.metric(&format!(
            "tidegate_requests_total{{outcome=\"{outcome}\",reason=\"{reason}\"}}"
        ))
    }

    /// The lines of the access log, once there are `count` of them.
    pub fn log(&self, count: usize) -> Vec<serde_json::Value> {
        let path = self.folder.path("access.log");
        let read = || -> Vec<String> {
            let text = fs::read_to_string(&path).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        eventually(&format!("{count} lines in the access log"), || {
            read().len() >= count
        });
        let parse = |line: &String| serde_json::from_str(line).expect("a line is JSON");
        read().iter().map(parse).collect()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success(), "kill -s {name} {pid}");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = end_within_patience(&mut self.child);
        ended.unwrap_or_else(|| panic!("the gate did not end: {:#?}", self.messages()))
    }

    /// Kills it and keeps its folder, for the next one.
    pub fn kill(mut self) -> Folder {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.folder, Folder::new())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the gate said: {:#?}", self.messages());
        }
    }
}

/// A configuration with one upstream called `app`.
pub fn with_upstream(servers: &[SocketAddr], text: &str) -> String {
    let servers: Vec<String> = servers
        .iter()
        .map(|server| format!("\"{server}\""))
        .collect();
    format!(
        "{text}\n[upstream.app]\nservers = [{}]\n",
        servers.join(", ")
    )
}

/// The folder's own path, for configurations that name files in it.
impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}
