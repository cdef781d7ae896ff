//! The screen, drawn from the state.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};

use super::state::{Said, Seen, State};
use super::{output, table};
use crate::top::{Kind, Source};

/// Rows of a kind that is not chosen from: its head and the heaviest. At least,
const GLANCE: u16 = 3;
/// and where there is room.
const GLIMPSE: u16 = 4;
/// Letters of a number: `requests/s`, `100.0 ±10.5`.
const NUMBER: u16 = 11;
/// `known, blocked`.
const STANDING: u16 = 14;
/// Letters of a row from which on there is room for all numbers beside a name.
const WIDE: u16 = 110;

const KEYS: &str = "r requests  f refused  y bytes  u upstream │ w window │ Tab kind  ↑↓ choose  b block  a allow │ p pause  q quit";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame, state: &State) {
    let (said, keys) = (said(state), Line::from(KEYS).style(dim()));
    let width = frame.area().width;
    let [head, body, message, foot] = Layout::vertical([
        Constraint::Length(if width < WIDE { 4 } else { 3 }),
        Constraint::Fill(1),
        Constraint::Length(height(&said, width)),
        Constraint::Length(height(&keys, width)),
    ])
    .areas(frame.area());
    match &state.seen {
        Some(seen) => {
            draw_head(frame, head, state, seen);
            draw_kinds(frame, body, state, seen);
        }
        None => frame.render_widget(Paragraph::new("waiting for the gate…"), head),
    }
    for (line, area) in [(said, message), (keys, foot)] {
        frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), area);
    }
}

/// Rows that a line takes when it is folded, with one for words that do not fit to its end; four at most.
fn height(line: &Line, width: u16) -> u16 {
    match line.width() / usize::from(width.max(1)) {
        0 => 1,
        more @ 1..3 => more as u16 + 1,
        _ => 4,
    }
}

fn draw_head(frame: &mut Frame, area: Rect, state: &State, seen: &Seen) {
    let age = seen.at.elapsed().as_secs();
    let stale = match (state.paused, age) {
        (true, _) => "  PAUSED".to_owned(),
        (false, 0..=3) => String::new(),
        (false, age) => format!("  {} OLD", output::duration(age)),
    };
    let note = table::note(&seen.sources).map(|note| format!("({note})"));
    let lines = vec![
        Line::from(vec![
            Span::styled("mode ", dim()),
            Span::styled(seen.mode.clone(), bold()),
            Span::styled(stale, coloured(Color::Yellow)),
        ]),
        Line::from(table::summary(&seen.sources)),
        Line::from(note.unwrap_or_default()).style(dim()),
    ];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

/// The kinds that anything came of, as many as there is room for, and rows of each that is not chosen
/// from.
fn fitting(height: u16, state: &State, seen: &Seen) -> (Vec<Kind>, u16) {
    let mut kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind == state.kind || !seen.sources.by_kind(*kind).is_empty())
        .collect();
    let height = usize::from(height) + 1;
    let each = if height / kinds.len() > usize::from(GLIMPSE) {
        GLIMPSE
    } else {
        GLANCE
    };
    while kinds.len() > (height / usize::from(each + 1)).max(1) {
        let last = kinds.iter().rposition(|kind| *kind != state.kind);
        kinds.remove(last.unwrap_or_default());
    }
    (kinds, each)
}

/// The kind that is chosen from gets the room that is left.
fn draw_kinds(frame: &mut Frame, area: Rect, state: &State, seen: &Seen) {
    let (kinds, each) = fitting(area.height, state, seen);
    let room = |kind: &Kind| match *kind == state.kind {
        true => Constraint::Min(each),
        false => Constraint::Length(each),
    };
    let areas = Layout::vertical(kinds.iter().map(room))
        .spacing(1)
        .split(area);
    for (kind, area) in kinds.into_iter().zip(areas.iter()) {
        draw_kind(frame, *area, kind, state, seen);
    }
}

fn draw_kind(frame: &mut Frame, area: Rect, kind: Kind, state: &State, seen: &Seen) {
    let is_chosen = kind == state.kind;
    let sources = &seen.sources;
    let [title, columns @ ..] = table::headings(kind, seen.view.by);
    let title = if is_chosen {
        format!("▸ {title}")
    } else {
        title.to_owned()
    };
    let columns = columns.map(str::to_owned);
    let heading = cells(title, columns, "", area.width);
    let heading = Row::new(heading).style(if is_chosen { bold() } else { dim() });
    let rows = sources
        .by_kind(kind)
        .iter()
        .map(|one| row(one, sources.seconds, area.width));
    let mut widths = vec![Constraint::Length(NUMBER); numbers_in(area.width).len() + 2];
    if let [name, .., standing] = widths.as_mut_slice() {
        (*name, *standing) = (Constraint::Min(16), Constraint::Length(STANDING));
    }
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    let table = Table::new(rows, widths)
        .header(heading)
        .column_spacing(1)
        .row_highlight_style(chosen);
    let mut at = TableState::new().with_selected(state.at().filter(|_| is_chosen));
    frame.render_stateful_widget(table, area, &mut at);
}

/// Which of the numbers there is room for. A number is left out whole: what is left of one that is cut
/// looks like another one.
fn numbers_in(width: u16) -> &'static [usize] {
    match width {
        WIDE.. => &[0, 1, 2, 3, 4],
        70.. => &[0, 1, 4],
        _ => &[4],
    }
}

/// The cells of a row, as many as there is room for.
fn cells(name: String, numbers: [String; 5], standing: &str, width: u16) -> Vec<Cell<'static>> {
    let shown = numbers_in(width).iter().filter_map(|at| numbers.get(*at));
    let shown = shown.map(|number| Cell::from(Line::from(number.clone()).right_aligned()));
    let (name, standing) = (Cell::from(name), Cell::from(standing.to_owned()));
    [name].into_iter().chain(shown).chain([standing]).collect()
}

fn row(source: &Source, seconds: f64, width: u16) -> Row<'static> {
    let [name, numbers @ ..] = table::row(source, seconds);
    let style = match (source.blocked, source.known) {
        (true, _) => coloured(Color::Red),
        (false, true) => coloured(Color::Green),
        (false, false) => Style::new(),
    };
    Row::new(cells(name, numbers, source.standing(), width)).style(style)
}

/// A question, or what became of the last one.
fn said(state: &State) -> Line<'static> {
    match (&state.asking, &state.said) {
        (Some(action), _) => Line::from(action.question()).style(bold().fg_if(Color::Yellow)),
        (None, Said::Good(text)) => Line::from(output::plain(text)).style(coloured(Color::Green)),
        (None, Said::Bad(text)) => Line::from(output::plain(text)).style(coloured(Color::Red)),
        (None, Said::Nothing) => Line::default(),
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn coloured(colour: Color) -> Style {
    Style::new().fg_if(colour)
}

/// Colours where they are wanted (no-color.org): everything is told by words, too.
trait Coloured {
    fn fg_if(self, colour: Color) -> Style;
}

impl Coloured for Style {
    fn fg_if(self, colour: Color) -> Style {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        if unwanted { self } else { self.fg(colour) }
    }
}
