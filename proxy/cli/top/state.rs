//! What the screen shows and what a key does to it.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::View;
use super::actions::{Action, Done};
use crate::top::{Kind, Measure, Source, Sources, Window};

/// What was last said about the gate.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What was asked for.
    pub view: View,
    /// The mode, in words.
    pub mode: String,
    pub sources: Sources,
    pub at: Instant,
}

/// A line that waits to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Good(String),
    Bad(String),
}

/// The screen.
#[derive(Debug)]
pub(super) struct State {
    pub view: View,
    /// The kind whose rows can be chosen,
    pub kind: Kind,
    /// and the one that is: by name, as rows change places.
    pub chosen: Option<String>,
    pub paused: bool,
    pub seen: Option<Seen>,
    /// What was asked for and waits to be confirmed.
    pub asking: Option<Action>,
    pub said: Said,
}

/// What a key asks of those around the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    /// The view has changed.
    Look,
    Do(Action),
}

impl State {
    pub fn new(view: View) -> Self {
        State {
            view,
            kind: Kind::Client,
            chosen: None,
            paused: false,
            seen: None,
            asking: None,
            said: Said::Nothing,
        }
    }

    /// The gate has answered, or not.
    pub fn saw(&mut self, answer: Result<Seen, String>) {
        match answer {
            Ok(seen) if !self.paused => {
                self.seen = Some(seen);
                if matches!(&self.said, Said::Bad(text) if text.starts_with(NO_ANSWER)) {
                    self.said = Said::Nothing;
                }
            }
            Ok(_) => {}
            Err(problem) => self.said = Said::Bad(format!("{NO_ANSWER}{problem}")),
        }
    }

    /// What was asked for is done, or not.
    pub fn did(&mut self, done: Done) {
        self.said = match done {
            Ok(sentence) => Said::Good(sentence),
            Err(problem) => Said::Bad(problem),
        };
    }

    /// The rows that can be chosen.
    pub fn rows(&self) -> &[Source] {
        self.seen
            .as_ref()
            .map_or(&[], |seen| seen.sources.by_kind(self.kind))
    }

    /// Which of them is: the first, until one is; none when it is not among them any more.
    pub fn at(&self) -> Option<usize> {
        match &self.chosen {
            None => Some(0),
            Some(chosen) => self.rows().iter().position(|row| row.name == *chosen),
        }
    }

    pub fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                _ => Wish::Nothing,
            };
        }
        match self.asking.take() {
            Some(action) => self.answer(action, key.code),
            None => self.command(key.code),
        }
    }

    fn answer(&mut self, action: Action, key: KeyCode) -> Wish {
        match key {
            KeyCode::Char('y' | 'Y') => Wish::Do(action),
            _ => {
                self.said = Said::Good("nothing was changed".to_owned());
                Wish::Nothing
            }
        }
    }

    fn command(&mut self, key: KeyCode) -> Wish {
        self.said = Said::Nothing;
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('r') => return self.look(|view| view.by = Measure::Requests),
            KeyCode::Char('f') => return self.look(|view| view.by = Measure::Refused),
            KeyCode::Char('y') => return self.look(|view| view.by = Measure::Bytes),
            KeyCode::Char('u') => return self.look(|view| view.by = Measure::Upstream),
            KeyCode::Char('w') => {
                return self.look(|view| view.window = next(&Window::ALL, view.window, 1));
            }
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(Kind::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.choose(self.at().map_or(0, |at| at + 1)),
            KeyCode::Up | KeyCode::Char('k') => {
                self.choose(self.at().map_or(0, |at| at.saturating_sub(1)))
            }
            KeyCode::Home => self.choose(0),
            KeyCode::Char('b') => self.ask(Action::block),
            KeyCode::Char('a') => {
                let kind = self.kind;
                self.ask(|source| Action::allow(source, kind));
            }
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            _ => {}
        }
        Wish::Nothing
    }

    fn look(&mut self, change: impl FnOnce(&mut View)) -> Wish {
        change(&mut self.view);
        self.paused = false;
        Wish::Look
    }

    /// To the next kind that there is anything of.
    fn turn(&mut self, steps: usize) {
        let seen = self.seen.as_ref().map(|seen| &seen.sources);
        for _ in Kind::ALL {
            self.kind = next(&Kind::ALL, self.kind, steps);
            if seen.is_none_or(|sources| !sources.by_kind(self.kind).is_empty()) {
                break;
            }
        }
        self.chosen = None;
    }

    fn choose(&mut self, row: usize) {
        let last = self.rows().len().saturating_sub(1);
        self.chosen = self.rows().get(row.min(last)).map(|row| row.name.clone());
    }

    /// Asks about the row that is chosen, which stays the same until it is answered.
    fn ask(&mut self, action: impl FnOnce(&Source) -> Result<Action, String>) {
        if !matches!(self.kind, Kind::Client | Kind::Network) {
            self.said = Said::Bad(
                "only clients and networks can be blocked or allowed; Tab leads to them".to_owned(),
            );
            return;
        }
        let row = self.at().and_then(|at| self.rows().get(at));
        let gone = || Err("that is not among the heaviest any more; choose again".to_owned());
        match row.map_or_else(gone, action) {
            Ok(action) => self.asking = Some(action),
            Err(why) => self.said = Said::Bad(why),
        }
    }
}

/// What a line begins with that says that the gate has not answered.
const NO_ANSWER: &str = "no answer: ";

/// The one so many behind it, in a circle.
fn next<T: Copy + PartialEq>(all: &[T], now: T, steps: usize) -> T {
    let at = all.iter().position(|one| *one == now).unwrap_or(0);
    all.iter().cycle().nth(at + steps).copied().unwrap_or(now)
}

#[cfg(test)]
mod tests;
