//! The terminal: keys in, the screen out.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::View;
use super::gate::{self, News, Order};
use super::screen;
use super::state::{State, Wish};
use crate::admin::Client;

/// How long a key or an answer may wait to be seen.
const GLANCE: Duration = Duration::from_millis(50);

/// Shows the screen until it is quit. The terminal is as it was afterwards, also after a panic.
pub(super) fn run(view: View, gate: Client) -> anyhow::Result<()> {
    // What is wrong with the gate's socket is better read without a screen around it.
    gate.get::<crate::mode::Record>("/v1/mode")?;
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, view, gate);
    ratatui::try_restore()?;
    shown
}

fn show(terminal: &mut DefaultTerminal, view: View, gate: Client) -> anyhow::Result<()> {
    let (orders, news) = gate::start(gate, view)?;
    let mut state = State::new(view);
    loop {
        terminal.draw(|frame| screen::draw(frame, &state))?;
        if event::poll(GLANCE)? {
            match wish(&mut state) {
                Wish::Quit => return Ok(()),
                Wish::Look => orders.send(Order::Look(state.view))?,
                Wish::Do(action) => orders.send(Order::Do(action))?,
                Wish::Nothing => {}
            }
        }
        loop {
            match news.try_recv() {
                Ok(News::Saw(seen)) => state.saw(*seen),
                Ok(News::Did(done)) => state.did(done),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => anyhow::bail!("the gate is not asked any more"),
            }
        }
    }
}

/// What a key asks for; a terminal that is gone is as good as `q`.
fn wish(state: &mut State) -> Wish {
    match event::read() {
        Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => state.press(key),
        Ok(_) => Wish::Nothing,
        Err(_) => Wish::Quit,
    }
}
