//! The demo's gate: this very program as a child process, in a folder of its own.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::source::{CUSTOMERS, Origin};
use crate::admin::wire::Status;
use crate::admin::{Client, Target};
use crate::processes::{end, ended_by};

/// How long the gate may take to start.
const START: Duration = Duration::from_secs(20);
/// How long it may take to drain before it is killed; its own deadline is a second.
const END: Duration = Duration::from_secs(3);
/// Lines of its messages that are kept, to say why it ended.
const MESSAGES: usize = 8;

/// A running gate. When dropped, it is ended and its folder is removed.
pub(super) struct ChildGate {
    process: Child,
    messages: Arc<Mutex<VecDeque<String>>>,
    program: PathBuf,
    folder: TempDir,
}

impl ChildGate {
    /// Starts it before the app at this address; see [`ChildGate::ready`].
    pub(super) fn start(app: SocketAddr, origin: Origin) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let folder = tempfile::Builder::new().prefix("tidegate-demo-").tempdir();
        let folder = folder.context("no temporary folder")?;
        let config = folder.path().join("tidegate.toml");
        fs::write(&config, configuration(app, origin))?;
        fs::create_dir(folder.path().join("known.d"))?;
        fs::write(folder.path().join("known.d/customers.txt"), customers())?;
        let key = program_without_settings(&program)
            .args(["pass", "new-key"])
            .arg(folder.path().join("pass.key"))
            .output();
        let key = key.context("the key for passes cannot be made")?;
        anyhow::ensure!(
            key.status.success(),
            "{}",
            String::from_utf8_lossy(&key.stderr)
        );
        let mut command = program_without_settings(&program);
        command.args(["run", "--exit-with-stdin", "--config"]);
        let mut process = command
            .arg(&config)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is meant for the demo, which then ends the gate.
            .process_group(0)
            .spawn()
            .context("the gate cannot be started")?;
        let messages = Arc::default();
        if let Some(stderr) = process.stderr.take() {
            keep_last_lines(stderr, &messages);
        }
        Ok(ChildGate {
            process,
            messages,
            program,
            folder,
        })
    }

    /// What the admin API says there.
    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &'static str,
    ) -> anyhow::Result<T> {
        let client = Client::new(Target::Socket(self.socket()));
        // The client has a runtime of its own, which cannot run inside this one.
        let asked = tokio::task::spawn_blocking(move || client.get(path));
        Ok(asked.await??)
    }

    /// Waits until it serves.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Status> {
        let deadline = Instant::now() + START;
        loop {
            self.check()?;
            match self.get("/v1/status").await {
                Ok(status) => return Ok(status),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// When it has ended, with its last words.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait()? else {
            return Ok(());
        };
        let messages = self.messages.lock();
        let last: Vec<&str> = messages.iter().map(String::as_str).collect();
        bail!("the gate has ended ({status})\n{}", last.join("\n"))
    }

    /// Its admin socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("tidegate.toml")
    }

    /// Runs a verb against it as an operator would, and gives what it printed.
    pub(super) async fn verb(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = program_without_settings(&self.program);
        command
            .args(words)
            .env("TIDEGATE_ADMIN", self.socket())
            .stdin(Stdio::null());
        let run = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output();
        let output = run.await.context("the verb cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let warned = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(said),
            false => bail!("`tidegate {}`: {}", words.join(" "), warned.trim()),
        }
    }
}

impl Drop for ChildGate {
    fn drop(&mut self) {
        // The end of its standard input tells it to drain.
        drop(self.process.stdin.take());
        let deadline = Instant::now() + END;
        ended_by(deadline, || !matches!(self.process.try_wait(), Ok(None)));
        end(&mut self.process);
    }
}

/// This program, without what the operator's environment says about another gate.
fn program_without_settings(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    let ours = |name: &OsStr| name.as_encoded_bytes().starts_with(b"TIDEGATE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// Reads what the gate says for as long as it lives, and keeps the end of it.
fn keep_last_lines(stderr: ChildStderr, messages: &Arc<Mutex<VecDeque<String>>>) {
    let messages = messages.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut messages = messages.lock();
            messages.push_back(line);
            if messages.len() > MESSAGES {
                messages.pop_front();
            }
        }
    });
}

/// The gate's configuration. A search costs all that a client may spend in a second, so that one
/// address gets one a second, and people who look at pages feel no limit.
fn configuration(app: SocketAddr, origin: Origin) -> String {
    let behind_proxy = match origin {
        Origin::Bound => "",
        Origin::Named => {
            "address_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n"
        }
    };
    format!(
        r#"# Written by `tidegate demo`, and removed when it ends.
mode = "normal"

[[listener]]
address = "127.0.0.1:0"

[upstream.app]
servers = ["{app}"]

[[route]]
path = "/search"
upstream = "app"
cost = 5

[[route]]
upstream = "app"

[client]
{behind_proxy}limit = {{ rate = "5/s", burst = 5 }}
connections = 20
max_tracked = 10_000

[connections]
total = 2_000

[known]
files = ["known.d/*.txt"]

[known.learn]
header = "x-tidegate-known"

[known.pass]
key_file = "pass.key"

[known_only]
exempt_paths = ["/login"]

[deadlines]
drain = "1s"

[log]
file = "access.log"

[admin]
socket = "admin.sock"

[metrics]
address = "127.0.0.1:0"

[state]
directory = "state"
"#
    )
}

fn customers() -> String {
    let mut text = "# The demo's known customers: one address or CIDR a line.\n".to_owned();
    for address in CUSTOMERS.addresses() {
        text.push_str(&format!("{address}\n"));
    }
    text
}
