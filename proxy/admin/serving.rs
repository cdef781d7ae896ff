//! How the admin side answers over its listeners: each step of a connection has a deadline, and so many
//! connections a place.
//!
//! Not `axum::serve`: it has neither deadlines nor a way to end a connection whose place is needed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::connect_info::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;

use super::operator::Operator;
use super::places::{Place, Places, Work};
use super::{Problem, until};

/// For the head of a request, from the connection's beginning or the answer before.
const HEAD: Duration = Duration::from_secs(5);
/// For the body of a request that has a known length and is small, as all have but an import.
const BODY: Duration = Duration::from_secs(5);
/// Bytes of such a body.
const SMALL: u64 = 64 << 10;
/// For any other body: longer than the command takes that sends it.
const LONG_BODY: Duration = Duration::from_secs(60);
/// How long a client may not read while there is something for it.
const UNREAD: Duration = Duration::from_secs(5);

/// What connects: a stream that tells who is at its other end.
pub(super) trait Peer: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn operator(&self) -> Operator;
}

impl Peer for UnixStream {
    fn operator(&self) -> Operator {
        Operator::Peer(self.peer_cred().ok().map(|peer| peer.uid()))
    }
}

impl Peer for TcpStream {
    fn operator(&self) -> Operator {
        Operator::Tcp
    }
}

/// Answers until `left`, and then what is under way.
pub(super) async fn serve<L>(
    mut listener: L,
    routes: Router,
    places: Arc<Places>,
    left: watch::Receiver<bool>,
) where
    L: Listener<Io: Peer>,
{
    let accepting = async {
        loop {
            let (io, _) = listener.accept().await;
            let place = places.take().await;
            tokio::spawn(connection(io, routes.clone(), place, left.clone()));
        }
    };
    tokio::select! {
        () = accepting => {}
        () = until(left.clone()) => {}
    }
    drop(listener);
    places.all_free().await;
}

async fn connection(io: impl Peer, routes: Router, place: Arc<Place>, left: watch::Receiver<bool>) {
    let operator = io.operator();
    let answering = place.clone();
    let service =
        service_fn(move |request| answer(request, operator, routes.clone(), answering.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(Read::of(io)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // An error is the client's, or its deadline.
        _ = connection.as_mut() => return,
        () = place.needed() => return,
        () = until(left) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = place.needed() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    operator: Operator,
    mut routes: Router,
    place: Arc<Place>,
) -> Result<Response<Answer>, Infallible> {
    let whole = received(request).await;
    // From here on it is the gate that is waited for.
    let work = place.work();
    let response = match whole {
        Ok(mut request) => {
            request.extensions_mut().insert(ConnectInfo(operator));
            routes.call(request).await?
        }
        Err(problem) => closing(problem),
    };
    Ok(held_back(response, work, &place).await)
}

/// An answer with this among its extensions is sent so much later. Its connection is not being worked for
/// meanwhile, so that it keeps out nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later(pub(super) Duration);

async fn held_back(mut response: Response, mut work: Work, place: &Arc<Place>) -> Response<Answer> {
    if let Some(Later(time)) = response.extensions_mut().remove() {
        drop(work);
        sleep(time).await;
        work = place.work();
    }
    response.map(|body| Answer { body, _work: work })
}

/// The request with its body, if that is small; a longer one comes while it is read.
async fn received(request: Request<Incoming>) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let length = body.size_hint().exact();
    let body = match length {
        Some(length) if length <= SMALL => {
            let body = timeout(BODY, body.collect()).await.map_err(|_| slow())?;
            let body = body.map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}"))
            })?;
            Body::from(body.to_bytes())
        }
        _ => Body::new(Within {
            body,
            end: Box::pin(sleep(LONG_BODY)),
        }),
    };
    Ok(Request::from_parts(parts, body))
}

fn slow() -> Problem {
    let detail = format!(
        "the body did not come within {} s: send it with the head",
        BODY.as_secs()
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

/// The answer to a request that was not read to its end.
pub(super) fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Refuses a body that was not read yet because it is large or has no known length: nobody but an import
/// has a use for it.
pub(super) async fn small_bodies(request: Request, next: Next) -> Result<Response, Response> {
    match request.body().size_hint().exact() {
        Some(length) if length <= SMALL => Ok(next.run(request).await),
        Some(_) => {
            let detail = format!("the body may have {SMALL} bytes");
            Err(closing(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)))
        }
        None => {
            let detail = "say how long the body is with Content-Length: it is read whole first";
            Err(closing(Problem::new(StatusCode::LENGTH_REQUIRED, detail)))
        }
    }
}

/// A body that has to come within a time.
struct Within {
    body: Incoming,
    end: Pin<Box<Sleep>>,
}

impl HttpBody for Within {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        ready!(self.end.as_mut().poll(cx));
        let late = io::Error::from(io::ErrorKind::TimedOut);
        Poll::Ready(Some(Err(axum::Error::new(late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. The gate is at work until all of it is handed over, which for a stream of lines
/// is its end.
struct Answer {
    body: Body,
    _work: Work,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose client has to read what there is for it.
struct Read<Io> {
    io: Io,
    /// Since the client has not read.
    unread: Option<Pin<Box<Sleep>>>,
}

impl<Io> Read<Io> {
    fn of(io: Io) -> Self {
        Read { io, unread: None }
    }

    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.unread = None;
            return done;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<Io: Peer> AsyncRead for Read<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<Io: Peer> AsyncWrite for Read<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
