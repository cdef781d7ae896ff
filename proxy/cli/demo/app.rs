//! The sample app: a few pages, and only so many hands.
//!
//! Its work is waiting, so that its capacity is the same on every machine: with [`PLACES`] requests
//! at a time and [`SEARCH`] for each, it answers some 180 searches a second, and whoever comes on
//! top stands in line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Requests that it works on at a time; the others wait in the order in which they came.
pub(super) const PLACES: usize = 9;
/// What a search takes.
pub(super) const SEARCH: Duration = Duration::from_millis(50);
/// What any other page takes.
const PAGE: Duration = Duration::from_millis(5);

/// The running app. It ends with the runtime that it was started in.
pub(super) struct App {
    pub(super) address: SocketAddr,
    desk: Arc<Desk>,
}

/// What its pages share.
struct Desk {
    places: Semaphore,
    searches: AtomicU64,
}

impl Desk {
    async fn work(&self, time: Duration) {
        // Only a closed semaphore has no place, and nobody closes it.
        let _place = self.places.acquire().await;
        tokio::time::sleep(time).await;
    }
}

impl App {
    pub(super) async fn start() -> anyhow::Result<App> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("the sample app gets no port")?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            places: Semaphore::new(PLACES),
            searches: AtomicU64::new(0),
        });
        let pages = Router::new()
            .route("/", get(home))
            .route("/login", get(login))
            .route("/search", get(search))
            .with_state(desk.clone());
        // It serves for as long as there is a runtime.
        tokio::spawn(async move { axum::serve(listener, pages).await });
        Ok(App { address, desk })
    }

    /// Searches that have reached it.
    pub(super) fn searches(&self) -> u64 {
        self.desk.searches.load(Relaxed)
    }
}

async fn home(State(desk): State<Arc<Desk>>, fields: HeaderMap) -> Html<String> {
    desk.work(PAGE).await;
    let now = jiff::Zoned::now().strftime("%H:%M:%S");
    let client = client(&fields).map_or("somebody".to_owned(), |client| client.to_string());
    page(&format!(
        "<p>It is {now}, and you are <b>{client}</b> to the gate.<p>This page loads itself again every two seconds. <a href=/login>Sign in</a>, <a href=/search>search</a>."
    ))
}

/// Whoever asks for it is signed in, and the gate is told that this is a customer.
async fn login(State(desk): State<Arc<Desk>>) -> ([(&'static str, &'static str); 1], Html<String>) {
    desk.work(PAGE).await;
    let confirmed = [("x-tidegate-known", "1")];
    (
        confirmed,
        page("<p>You are signed in, and so the gate knows you. <a href=/>Back</a>."),
    )
}

async fn search(State(desk): State<Arc<Desk>>) -> Html<String> {
    desk.searches.fetch_add(1, Relaxed);
    desk.work(SEARCH).await;
    page("<p>Nothing found, at some expense. <a href=/>Back</a>.")
}

/// The client as the gate names it: the last one in the chain, which the gate wrote.
fn client(fields: &HeaderMap) -> Option<IpAddr> {
    let chain = fields.get("x-forwarded-for")?.to_str().ok()?;
    chain.rsplit(',').next()?.trim().parse().ok()
}

fn page(body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><meta http-equiv=refresh content=2><title>Sample app</title><style>body{{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}}</style><h1>Sample app</h1>{body}\n"
    ))
}
