use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::cli::top::screen;
use crate::top::Measured;

const VIEW: View = View {
    window: Window::TenSeconds,
    by: Measure::Requests,
};

fn source(name: &str, known: bool, blocked: bool) -> Source {
    let measured = Measured {
        requests: 5_000,
        refused: 4_000,
        bytes: 10 << 20,
        upstream_seconds: 25.0,
    };
    Source {
        name: name.to_owned(),
        measured,
        share: 0.5,
        error: 0.02,
        known,
        blocked,
    }
}

fn seen() -> Seen {
    Seen {
        view: VIEW,
        mode: "normal".to_owned(),
        sources: Sources {
            seconds: 10.0,
            all: Measured::default(),
            refused_one_in: 8,
            served_one_in: 1,
            missed: 0,
            clients: vec![
                source("203.0.113.7", false, false),
                source("198.51.100.9", true, false),
                source("192.0.2.1", false, true),
            ],
            networks: vec![source("203.0.113.0/24", false, false)],
            systems: Vec::new(),
            countries: Vec::new(),
            tenants: Vec::new(),
            paths: vec![source("/search", false, false)],
            user_agents: vec![source("\u{1b}[2Jbot\u{202e}", false, false)],
        },
        at: Instant::now(),
    }
}

fn state() -> State {
    let mut state = State::new(VIEW);
    state.saw(Ok(seen()));
    state
}

fn press(state: &mut State, keys: &str) -> Wish {
    let mut wish = Wish::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\t' => KeyCode::Tab,
            letter => KeyCode::Char(letter),
        };
        wish = state.press(KeyEvent::from(code));
    }
    wish
}

#[test]
fn nobody_is_blocked_without_a_yes() {
    let mut state = state();
    assert_eq!(press(&mut state, "b"), Wish::Nothing);
    let block = Action::Block {
        prefix: "203.0.113.7".to_owned(),
        known: false,
    };
    assert_eq!(state.asking.as_ref(), Some(&block));
    assert_eq!(press(&mut state, "n"), Wish::Nothing);
    assert_eq!(state.said, Said::Good("nothing was changed".to_owned()));
    assert_eq!(press(&mut state, "by"), Wish::Do(block));
    assert_eq!(state.asking, None);
}

#[test]
fn what_is_asked_about_stays_while_rows_change_places() {
    let mut state = state();
    press(&mut state, "jb");
    let mut later = seen();
    later.sources.clients.reverse();
    state.saw(Ok(later));
    assert_eq!(state.at(), Some(1), "198.51.100.9 is still the second");
    let known = Action::Block {
        prefix: "198.51.100.9".to_owned(),
        known: true,
    };
    assert!(known.question().contains("KNOWN CUSTOMER"));
    assert_eq!(press(&mut state, "y"), Wish::Do(known));
    let mut without = seen();
    without.sources.clients.remove(1);
    state.saw(Ok(without));
    assert_eq!(state.at(), None, "nobody else is chosen in its place");
    assert_eq!(press(&mut state, "b"), Wish::Nothing);
    assert_eq!(state.asking, None);
    press(&mut state, "j");
    assert_eq!(state.at(), Some(0));
}

#[test]
fn to_allow_who_is_blocked_lifts_the_block() {
    let mut state = state();
    let prefix = "192.0.2.1".to_owned();
    assert_eq!(
        press(&mut state, "jjay"),
        Wish::Do(Action::Unblock { prefix })
    );
    let prefix = "203.0.113.0/24".to_owned();
    assert_eq!(
        press(&mut state, "\tay"),
        Wish::Do(Action::Allow { prefix })
    );
    // There are no tenants.
    press(&mut state, "\tb");
    assert_eq!((state.kind, &state.asking), (Kind::Path, &None));
    assert!(matches!(state.said, Said::Bad(_)));
}

#[test]
fn keys_change_what_is_looked_at() {
    let mut state = state();
    assert_eq!(press(&mut state, "p"), Wish::Nothing);
    state.saw(Ok(Seen {
        mode: "known-only".to_owned(),
        ..seen()
    }));
    let mode = |state: &State| state.seen.as_ref().map(|seen| seen.mode.clone());
    assert_eq!(mode(&state).as_deref(), Some("normal"), "it is paused");
    assert_eq!(press(&mut state, "fw"), Wish::Look);
    assert_eq!(
        (state.view.by, state.view.window, state.paused),
        (Measure::Refused, Window::Minute, false)
    );
    state.saw(Err("it is gone".to_owned()));
    assert_eq!(state.said, Said::Bad("no answer: it is gone".to_owned()));
    state.saw(Ok(seen()));
    assert_eq!(state.said, Said::Nothing);
    assert_eq!(press(&mut state, "q"), Wish::Quit);
}

#[test]
fn the_screen_says_who_it_is_and_lets_nobody_write_on_it() {
    let mut state = state();
    press(&mut state, "b");
    for (width, height) in [(120, 40), (80, 24), (20, 5), (1, 1)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen::draw(frame, &state)).unwrap();
        let drawn = terminal.backend().to_string();
        assert!(
            !drawn.contains('\u{1b}') && !drawn.contains('\u{202e}'),
            "{drawn}"
        );
        if width >= 80 {
            for said in [
                "203.0.113.7",
                "/search",
                "known",
                "blocked",
                "50.0 ±2.0",
                "% requests",
                "one refusal in 8 was looked at",
                "Block 203.0.113.7 for an hour? y/n",
            ] {
                assert!(drawn.contains(said), "no {said} in\n{drawn}");
            }
        }
    }
}

#[test]
fn what_lasts_longer_than_an_hour_is_not_cut_to_one() {
    let mut state = state();
    for (keys, said) in [
        ("ja", "198.51.100.9 is known already"),
        ("jb", "192.0.2.1 is blocked already"),
    ] {
        assert_eq!(press(&mut state, keys), Wish::Nothing);
        assert_eq!(
            (&state.asking, &state.said),
            (&None, &Said::Bad(said.to_owned()))
        );
    }
}

#[test]
fn on_a_small_screen_each_kind_that_is_shown_has_rows() {
    let mut full = seen();
    let one = |name| vec![source(name, false, false)];
    full.sources.systems = one("AS64500 Example Net");
    full.sources.countries = one("DE");
    full.sources.tenants = one("shop.example.com");
    let mut state = state();
    state.saw(Ok(full));
    press(&mut state, "\t\t\t\t\t\t");
    for (height, kinds) in [(40, 7), (24, 5), (10, 1)] {
        let mut terminal = Terminal::new(TestBackend::new(120, height)).unwrap();
        terminal.draw(|frame| screen::draw(frame, &state)).unwrap();
        let drawn = terminal.backend().to_string();
        assert_eq!(drawn.matches(" refused/s").count(), kinds, "{drawn}");
        assert!(drawn.matches("50.0 ±2.0").count() >= kinds, "{drawn}");
        assert!(drawn.contains("▸ user agent"), "{drawn}");
    }
}
