//! The story that the demo tells, act by act, in the words of what it measures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hyper::StatusCode;
use tidegate_config::{Mode, Share};

use super::app::{self, App};
use super::caller::Caller;
use super::child::ChildGate;
use super::screen::Screen;
use super::source::{ABROAD, CUSTOMERS, FLOOD, HOME, Origin, VISITORS};
use super::tally::{Act, Party, Tally};
use super::traffic::{Aim, FLOOD_RATE, Traffic};
use crate::admin::wire::Status;
use crate::mode::Record;

/// How long the last answers to customers are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long a customer takes to be known once the app has said so, and somewhat more.
const LEARNED: Duration = Duration::from_millis(300);
/// How long the gate may take for what it does by itself.
const MOST_WAITED: Duration = Duration::from_secs(60);
/// How often the gate is looked after while nothing is told.
const LOOK: Duration = Duration::from_millis(500);

/// Everything that takes part. Dropped from the top: those who send, the gate, the rest.
pub(super) struct Story {
    /// Held for its drop alone.
    _people: Traffic,
    gate: ChildGate,
    app: App,
    status: Status,
    aim: Aim,
    screen: Screen,
    /// What the operator calls this program.
    program: String,
    /// How long a line takes.
    line: Duration,
    begun: Instant,
    act: Option<Act>,
    /// Searches that had reached the app when the act began.
    searches: u64,
    /// Searches that reached the app, by act.
    reached: BTreeMap<Act, u64>,
}

impl Story {
    /// Starts the app, the gate and the people, and says who they are.
    pub(super) async fn begin(pace: f64, one_address: bool) -> anyhow::Result<Self> {
        let origin = origin(one_address);
        let app = App::start().await?;
        let mut gate = ChildGate::start(app.address, origin)?;
        let status = gate.ready().await?;
        let address = status.listeners.first();
        let aim = Aim {
            gate: address.context("the gate names no listener")?.address,
            origin,
            tally: Arc::new(Tally::default()),
        };
        for address in CUSTOMERS.addresses().chain(FLOOD.addresses()).take(5) {
            let connected = aim.origin.connect(address, aim.gate).await;
            connected.with_context(|| {
                format!("{address} does not reach the gate: is the loopback interface up?")
            })?;
        }
        let story = Story {
            _people: Traffic::people(&aim),
            gate,
            app,
            status,
            aim,
            screen: Screen::new(),
            program: program(),
            line: Duration::from_secs(1).mul_f64(pace),
            begun: Instant::now(),
            act: None,
            searches: 0,
            reached: BTreeMap::new(),
        };
        story.introduce()?;
        Ok(story)
    }

    fn introduce(&self) -> anyhow::Result<()> {
        self.screen
            .heading("Tidegate: a sample app, the gate before it, and a flood")?;
        self.screen.say(&format!(
            "All of it is on this machine's loopback, and is gone when the demo ends.

  app        {} requests at a time, {} ms for a search
  gate       http://{}: 5 requests a second for each client,
             and a search counts as 5
  customers  {}: in the known set
  visitors   {}: unknown to the gate
  flood      {}: up to {FLOOD_RATE} searches a second

To look in from another terminal
  export TIDEGATE_ADMIN={}
  {} status",
            app::PLACES,
            app::SEARCH.as_millis(),
            self.aim.gate,
            CUSTOMERS.range(),
            VISITORS.range(),
            FLOOD.range(),
            self.gate.socket().display(),
            self.program,
        ))
    }

    /// Tells all of it, and gives how many requests of customers were not served.
    pub(super) async fn tell(&mut self) -> anyhow::Result<u64> {
        let member = self.calm().await?;
        let flood = self.flood().await?;
        self.known_only().await?;
        self.newcomers(member).await?;
        self.too_early().await?;
        drop(flood);
        self.open().await?;
        self.summarise().await
    }

    /// A day without a flood, on which somebody logs in.
    async fn calm(&mut self) -> anyhow::Result<Caller> {
        self.screen.heading("1. A calm day, in the mode `normal`")?;
        let mut member = Caller::new(self.aim.gate, self.aim.origin, HOME);
        let status = said(member.get("/login").await);
        self.screen.say(&format!(
            "Somebody logs in at {HOME} ({status}). The app says that this is a customer, and the\ngate gives a pass.\n"
        ))?;
        self.screen.columns()?;
        self.play(Act::Calm).await?;
        Ok(member)
    }

    async fn flood(&mut self) -> anyhow::Result<Traffic> {
        self.screen
            .heading(&format!("2. {} addresses start to search", FLOOD.size))?;
        self.screen.say(
            "Each is held to one search a second (429), yet together they fill the app,\nand everybody waits in line:\n",
        )?;
        self.screen.columns()?;
        self.enter(Some(Act::Flood));
        let flood = Traffic::flood(&self.aim);
        self.lines(Act::Flood).await?;
        Ok(flood)
    }

    async fn known_only(&mut self) -> anyhow::Result<()> {
        self.screen
            .heading("3. The operator looks, and lets in known customers only")?;
        self.verb(&["preview", "known-only"]).await?;
        self.verb(&[
            "mode",
            "known-only",
            "--for",
            "2m",
            "--reason",
            "demo flood",
        ])
        .await?;
        self.screen.columns()?;
        self.play(Act::Switch).await?;
        self.play(Act::KnownOnly).await?;
        self.screen
            .say("\nThe first of these lines still show what had been let in before.")
    }

    /// Customers at addresses that the gate does not know.
    async fn newcomers(&mut self, member: Caller) -> anyhow::Result<()> {
        self.screen
            .heading("4. Customers come from new addresses")?;
        let [first, second] = ABROAD;
        let mut stranger = Caller::new(self.aim.gate, self.aim.origin, first);
        let refused = said(stranger.get("/").await);
        let login = said(stranger.get("/login").await);
        // Known within a tenth of a second; whoever reads pages takes longer.
        tokio::time::sleep(LEARNED).await;
        let served = said(stranger.get("/").await);
        let mut member = member.moved_to(second);
        let passed = said(member.get("/").await);
        self.screen.say(&format!(
            "{first}, unknown so far: {refused} at /, {login} at /login, which stays open, and then\nknown: {served} at /
{second}, with the pass that was given at {HOME}: {passed} at /"
        ))
    }

    /// Opening again while the flood is on.
    async fn too_early(&mut self) -> anyhow::Result<()> {
        self.screen
            .heading("5. The operator opens again, and the flood is still on")?;
        // The first step is at once, and may be before the verb has returned.
        self.enter(Some(Act::Reopening));
        self.verb(&["reopen", "--steps", "20%,100%", "--every", "1m"])
            .await?;
        self.screen.columns()?;
        self.lines_until("a step up", |mode| mode.admit_unknown != Share::NONE)
            .await?;
        self.lines_until("the step back", |mode| mode.admit_unknown == Share::NONE)
            .await?;
        self.screen
            .say("\nThe gate saw that those whom it let in were refused, and stepped back.")
    }

    /// Opening again after it.
    async fn open(&mut self) -> anyhow::Result<()> {
        self.screen
            .heading("6. The flood is over, and the operator opens again")?;
        self.enter(Some(Act::After));
        self.verb(&["reopen", "--steps", "50%,100%", "--every", "1s"])
            .await?;
        self.screen.columns()?;
        self.lines_until("the last step", |mode| mode.mode == Mode::Normal)
            .await?;
        self.verb(&["audit"]).await
    }

    /// What is sent, and what reaches the app, belongs to this act from now on.
    fn enter(&mut self, act: Option<Act>) {
        self.aim.tally.enter(act);
        let searches = self.app.searches();
        if let Some(ended) = std::mem::replace(&mut self.act, act) {
            self.reached.insert(ended, searches - self.searches);
        }
        self.searches = searches;
    }

    /// Lets an act happen, a line at a time.
    async fn play(&mut self, act: Act) -> anyhow::Result<()> {
        self.enter(Some(act));
        self.lines(act).await
    }

    async fn lines(&mut self, act: Act) -> anyhow::Result<()> {
        for _ in 0..act.lines() {
            self.one_line().await?;
        }
        Ok(())
    }

    async fn one_line(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(self.line).await;
        self.gate.check()?;
        let answered = self.aim.tally.line();
        self.screen.line(self.begun.elapsed(), &answered)
    }

    /// Lets an act go on until the mode is as it says.
    async fn lines_until(
        &mut self,
        what: &str,
        reached: impl Fn(&Record) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + MOST_WAITED;
        while !reached(&self.gate.get("/v1/mode").await?) {
            ensure!(Instant::now() < deadline, "{what} has not come");
            self.one_line().await?;
        }
        Ok(())
    }

    /// Runs a verb and shows it.
    async fn verb(&self, words: &[&str]) -> anyhow::Result<()> {
        let printed = self.gate.verb(words).await?;
        let quoted = words.iter().map(|word| match word.contains(' ') {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        });
        let words: Vec<String> = quoted.collect();
        let command = format!("{} {}", self.program, words.join(" "));
        self.screen.typed(&command, &printed)
    }

    async fn summarise(&mut self) -> anyhow::Result<u64> {
        self.enter(None);
        let total = || self.aim.tally.total(Party::Customers);
        let deadline = Instant::now() + LAST_ANSWERS;
        while total().1 > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.screen
            .heading("What was measured, by when a request was sent")?;
        self.screen.summary(&self.aim.tally, &self.reached)?;
        let (sent, failed) = total();
        self.screen.say(&match failed {
            0 => format!("\nKnown customers: {sent} requests, 0 failed."),
            _ => format!("\nKnown customers: {sent} requests, {failed} FAILED."),
        })?;
        Ok(failed)
    }

    /// Says what can be done now, and stays up with the people at their pages.
    pub(super) async fn stay(&mut self) -> anyhow::Result<()> {
        let program = &self.program;
        let metrics = self.status.metrics;
        let metrics = metrics.map_or(String::new(), |at| format!("  http://{at}/metrics\n"));
        self.screen
            .heading("Now you: the gate, the app and its people stay until Ctrl-C")?;
        self.screen.say(&format!(
            "Open
  http://{}/
{metrics}
Type, in another terminal
  export TIDEGATE_ADMIN={}
  {program} status
  {program} known list
  {program} mode known-only --for 5m --reason try
  {program} known add 127.0.0.1 --for 5m --reason me
  {program} mode normal

Edit, and then type `{program} reload`
  {}",
            self.aim.gate,
            self.gate.socket().display(),
            self.gate.config().display(),
        ))?;
        loop {
            tokio::time::sleep(LOOK).await;
            self.gate.check()?;
        }
    }
}

/// An answer, for people.
fn said(status: Option<StatusCode>) -> String {
    status.map_or("no answer".to_owned(), |status| status.as_str().to_owned())
}

fn origin(one_address: bool) -> Origin {
    let origin = match one_address {
        true => Origin::Named,
        false => Origin::of_this_system(),
    };
    if origin == Origin::Named {
        eprintln!(
            "note: loopback has one address here; the senders' are named in X-Forwarded-For instead,\nas behind a load balancer"
        );
    }
    origin
}

/// This program as it was called, so that what is shown can be typed.
fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or("tidegate".to_owned(), |name| {
        name.to_string_lossy().into_owned()
    })
}
