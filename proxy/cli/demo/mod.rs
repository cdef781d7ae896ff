//! `tidegate demo`: a sample app, the gate before it and a short synthetic flood, to watch.
//!
//! The app and everybody who sends live in this process, the gate in a child of it, and what the
//! gate keeps in a private folder. Nothing of it stays: each part ends when its value is dropped,
//! whichever way the demo ends, and the gate ends by itself when this process is killed.

mod app;
mod caller;
mod child;
mod screen;
mod source;
mod story;
mod tally;
mod traffic;

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Format, output};
use crate::descriptors;
use story::Story;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ctrl-C ends it at any time, with 0 after the story and 130 in the middle of it."
)]
pub(crate) struct Arguments {
    /// End by itself after the story, with 1 when a known customer was not served
    #[arg(long)]
    once: bool,

    /// Tell the story in this share of its time: 0.5 is twice as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_pace)]
    pace: f64,

    /// Name the senders' addresses in X-Forwarded-For, as where loopback has only one
    #[arg(long, hide = true)]
    one_address: bool,
}

fn parse_pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.1..=10.0).contains(&pace) => Ok(pace),
        _ => Err("a number from 0.1 to 10".to_owned()),
    }
}

/// Threads for the app and the senders: a demo is a guest on the machine.
const THREADS: usize = 2;
/// How long threads may take to end.
const RUNTIME_END: Duration = Duration::from_secs(1);
/// Files that this process may have open: connections towards the gate, and in the app.
const DESCRIPTORS: u64 = 2_256;

/// Tells the story and keeps the gate up. Ctrl-C ends it at any time: with 0 after the story, with
/// 130 in the middle of it, as shells have it.
pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    if context.format == Format::Json {
        eprintln!("tidegate: the demo is for people to watch; leave `--output json` away");
        return Ok(ExitCode::from(2));
    }
    descriptors::raise(DESCRIPTORS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("the demo's threads cannot be started")?;
    let code = runtime.block_on(until_ended(arguments));
    runtime.shutdown_timeout(RUNTIME_END);
    code
}

/// Performs until the end, or a signal. The performance is dropped before anything is said about
/// its end: the gate is gone then, and its folder.
async fn until_ended(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signal handlers")?;
    let told = Cell::new(None);
    let code = tokio::select! {
        performed = perform(arguments, &told) => performed?,
        signal = signals.next() => told.get().unwrap_or(ExitCode::from(signal)),
    };
    output::text("\nGate and app have ended, and their folder is removed.\n")?;
    Ok(code)
}

/// The whole demo. `told` is set once the story has been told, and says how the demo is to end.
async fn perform(arguments: &Arguments, told: &Cell<Option<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut story = Story::begin(arguments.pace, arguments.one_address).await?;
    let failed = story.tell().await?;
    let code = match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    };
    told.set(Some(code));
    if !arguments.once {
        story.stay().await?;
    }
    Ok(code)
}

/// The signals that end the demo.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one, and gives the exit code that shells expect after it.
    async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}
