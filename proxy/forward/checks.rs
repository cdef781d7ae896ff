//! Asking servers whether they are well, off the way of requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::HealthCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::is_local;
use super::jitter::jittered;
use super::servers::Server;

/// Checks under way at a time, of all upstreams: each has a descriptor.
static AT_ONCE: Semaphore = Semaphore::const_new(32);
/// The first one comes soon.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read.
const MOST_READ: usize = 4096;

/// What asks one server, one question at a time, until it is dropped.
#[derive(Debug)]
pub(super) struct Checker(JoinHandle<()>);

impl Checker {
    pub(super) fn start(check: HealthCheck, server: Arc<Server>) -> Self {
        Checker(tokio::spawn(keep_checking(check, server)))
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_checking(check: HealthCheck, server: Arc<Server>) {
    sleep(check.every.min(FIRST_WITHIN).mul_f64(fastrand::f64())).await;
    let mut streak = Streak::default();
    loop {
        // It is never closed.
        let turn = AT_ONCE.acquire().await;
        let asked = timeout(check.timeout, ask(&check, server.address)).await;
        drop(turn);
        let late = || says(format!("no answer within {} ms", check.timeout.as_millis()));
        let problem = asked.unwrap_or_else(|_| late()).err();
        let counts = !problem.as_ref().is_some_and(|problem| is_local(problem));
        if counts && streak.counts(problem.is_none(), &check) {
            server.found(problem.map(|problem| problem.to_string()));
        }
        sleep(jittered(check.every)).await;
    }
}

/// How many answers in a row were alike.
#[derive(Debug, Default)]
struct Streak {
    was_well: bool,
    length: u32,
}

impl Streak {
    /// Whether there are enough by now to believe this one.
    fn counts(&mut self, is_well: bool, check: &HealthCheck) -> bool {
        if self.was_well != is_well {
            self.length = 0;
        }
        self.was_well = is_well;
        self.length = self.length.saturating_add(1);
        let needed = if is_well { check.rise } else { check.fall };
        self.length >= needed.get()
    }
}

/// Asks once; the error says what is wrong.
async fn ask(check: &HealthCheck, address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let Some(path) = &check.path else {
        return Ok(());
    };
    let host = check.host.clone().unwrap_or_else(|| address.to_string());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health-check\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(MOST_READ);
    let mut head = stream.take(MOST_READ as u64);
    // To the end of its head, so that the app is not cut off in the middle of it.
    while memchr::memmem::find(&answer, b"\r\n\r\n").is_none() {
        if head.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    match status(&answer) {
        Some(200..=399) => Ok(()),
        Some(status) => says(format!("status {status}")),
        None => says("the answer is not HTTP".to_owned()),
    }
}

/// An answer that is not good.
fn says(problem: String) -> io::Result<()> {
    Err(io::Error::other(problem))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let version = words.next()?;
    let is_status = |word: &&str| word.len() == 3 && word.bytes().all(|one| one.is_ascii_digit());
    let status = words.next().filter(is_status)?;
    version
        .starts_with("HTTP/1.")
        .then(|| status.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_answers_in_a_row_are_believed() {
        let check = HealthCheck::default();
        let mut streak = Streak::default();
        let answers = [
            (false, false),
            (false, false),
            (true, false),
            (false, false),
            (false, false),
            (false, true),
            (false, true),
            (true, false),
            (false, false),
            (true, false),
            (true, true),
            (true, true),
        ];
        for (number, (is_well, believed)) in answers.into_iter().enumerate() {
            assert_eq!(streak.counts(is_well, &check), believed, "answer {number}");
        }
    }

    #[test]
    fn a_status_is_read_from_the_first_line_alone() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 503\r\nX: HTTP/1.1 200 OK\r\n\r\n", Some(503)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 +20 OK\r\n", None),
            ("HTTP/2 200\r\n", None),
            ("200 OK\r\n", None),
            ("", None),
            ("\r\n", None),
        ] {
            assert_eq!(status(answer.as_bytes()), expected, "{answer:?}");
        }
    }
}
