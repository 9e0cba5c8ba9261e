//! The accept loop on a thread of its own, so that a caller may be blocking or asynchronous; and
//! the path of a request from its first byte to its answer.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::fault::{FaultKind, FaultQueue, QueryCall};
use super::http::{
    Completion, ConnectionCut, Payload, Recorded, ServiceReply, ServiceRequest, SimAnswer,
};
use super::shared::{Shared, SimExchange, SimState};
use super::{admin, ambient, iam, password, queries};

/// The largest body the gateway accepts (OTC API Gateway manual, 0201 with 413; OTC IAM api-ref,
/// Request Body): 12 MB.
const MAX_BODY_BYTES: usize = 12 << 20;

/// How much of a larger body is discarded, so that the caller gets to see the answer.
const MAX_DISCARDED_BYTES: usize = 64 << 20;

/// Its shutdown signal, and its thread.
pub struct Server(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Server {
    /// Binds the address, so that it is known before anything is served.
    pub fn bind(address: SocketAddr) -> io::Result<(StdListener, SocketAddr)> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    pub fn start(listener: StdListener, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, &shared) => {}
                }
            }
        };
        let thread = thread::Builder::new()
            .name("drs-simulator".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            // An error means that the loop has ended by itself.
            let _ = stop.send(());
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut state = shared.lock();
                state.connections += 1;
                state.open_connections += 1;
                tokio::spawn(serve(stream, Arc::clone(shared)));
            }
            // Out of file descriptors, say: the next try may do better.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it, small answers would wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| handle(Arc::clone(&shared), request));
    // An error is either a cut made on purpose or a caller that went away.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    shared.lock().open_connections -= 1;
}

type Handler = fn(&mut SimExchange<'_>) -> SimAnswer;

struct Route {
    answer: Handler,
    faults: Option<(FaultQueue, Option<QueryCall>)>,
    project: String,
}

impl Route {
    fn is_change(&self) -> bool {
        matches!(self.faults, Some((FaultQueue::Changes, _)))
    }
}

fn route(method: &str, path: &str) -> Route {
    use FaultQueue::{Changes, Logins, Queries};
    use QueryCall::{Detail, List, Retry, Status};
    let query = |call| Some((Queries, Some(call)));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (answer, faults, project): (Handler, _, _) = match (method, parts.as_slice()) {
        ("PUT", ["v3", project, "jobs", "batch-modify-pwd"]) => {
            (password::change, Some((Changes, None)), *project)
        }
        ("GET", [""]) => (iam::versions, None, ""),
        ("GET", ["v3"] | ["v3", ""]) => (iam::version, None, ""),
        ("POST", ["v3", "auth", "tokens"]) => (iam::log_in, Some((Logins, None)), ""),
        ("GET", ["v3", "auth", "tokens"]) => (iam::show_token, None, ""),
        ("GET", ["v3", "auth", "catalog"]) => (iam::catalog, None, ""),
        ("GET", ["v3", "projects"]) => (iam::projects, None, ""),
        ("POST", ["v3", project, "jobs"]) => (queries::list, query(List), *project),
        ("POST", ["v3", project, "jobs", call]) => match *call {
            "batch-status" => (queries::statuses, query(Status), *project),
            "batch-detail" => (queries::details, query(Detail), *project),
            "batch-retry-task" => (queries::retry, query(Retry), *project),
            _ => (queries::unknown, None, *project),
        },
        ("GET", ["v5", project, "jobs", _, "actions"]) => (queries::actions, None, *project),
        _ => (queries::unknown, None, ""),
    };
    Route {
        answer,
        faults,
        project: project.to_owned(),
    }
}

/// Answers one request. Fails if the connection is to be closed without an answer, or broke.
async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, ConnectionCut> {
    let (head, body) = request.into_parts();
    let route = route(head.method.as_str(), head.uri.path());
    let project = route.project.clone();
    let mut visit = Visit::enter(&shared, route);
    let body = read_body(body).await?;
    let document = body
        .as_deref()
        .and_then(|body| serde_json::from_slice(body).ok());
    let request = ServiceRequest {
        head,
        project,
        body,
        document,
    };
    let reply = match request.head.uri.path().split('/').nth(1) {
        Some("sim") => admin::answer(&shared, &request),
        _ => respond(&shared, &mut visit, &request).await?,
    };
    let date = ambient::http_date(shared.now());
    reply.into_response(&shared.nonces.request_id(), &date)
}

/// One request in progress. Dropped without an answer, as when the caller hangs up, it marks the
/// record as cut.
struct Visit {
    shared: Arc<Shared>,
    route: Route,
    record: Option<usize>,
    changed: Option<(usize, usize)>,
}

impl Visit {
    /// A password change counts as in flight from here on.
    fn enter(shared: &Arc<Shared>, route: Route) -> Self {
        if route.is_change() {
            let mut state = shared.lock();
            state.in_flight += 1;
            state.max_in_flight = state.max_in_flight.max(state.in_flight);
        }
        Self {
            shared: Arc::clone(shared),
            route,
            record: None,
            changed: None,
        }
    }

    /// Records the request and returns the faults that it meets.
    fn record(&mut self, state: &mut SimState, request: &ServiceRequest) -> Vec<FaultKind> {
        let (names, entries) = match self.route.is_change() {
            true => (password::names(request), password::known_entries(request)),
            false => (Vec::new(), Vec::new()),
        };
        let keeps_body = self.shared.config.record_bodies;
        self.record = Some(state.log.len());
        state.log.push(Recorded {
            head: request.head.clone(),
            body: request.body.clone().filter(|_| keeps_body),
            entries: names,
            completion: Completion::Pending,
        });
        match self.route.faults {
            Some((queue, call)) => state.faults[queue as usize].strike(call, &entries),
            None => Vec::new(),
        }
    }

    fn complete(&self, state: &mut SimState, how: Completion) {
        if let Some(recorded) = self.record.and_then(|index| state.log.get_mut(index))
            && recorded.completion == Completion::Pending
        {
            recorded.completion = how;
            if let Some(log) = &self.shared.config.request_log {
                let line = recorded.line(self.shared.now(), self.changed);
                // Whoever does not listen any more misses nothing.
                let _ = log.send(line);
            }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.in_flight -= usize::from(self.route.is_change());
        self.complete(&mut state, Completion::Cut);
    }
}

/// Reads the body; returns `None` if it was over the limit, and discards the rest.
async fn read_body(mut body: Incoming) -> Result<Option<Bytes>, ConnectionCut> {
    let mut whole = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ConnectionCut)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length > MAX_DISCARDED_BYTES {
            return Ok(None);
        }
        if length > MAX_BODY_BYTES {
            whole = Vec::new();
        } else {
            whole.extend_from_slice(data);
        }
    }
    Ok((length <= MAX_BODY_BYTES).then(|| whole.into()))
}

/// Counts and records a request, then answers it unless a fault prevents that.
async fn respond(
    shared: &Shared,
    visit: &mut Visit,
    request: &ServiceRequest,
) -> Result<ServiceReply, ConnectionCut> {
    let arrived = Instant::now();
    // All of it under one lock, so that a test that waited for the request finds its effect.
    let (faults, reply, held) = {
        let mut state = shared.lock();
        let faults = visit.record(&mut state, request);
        let hold = faults.iter().find_map(|kind| match kind {
            FaultKind::Hold { act_first } => Some(*act_first),
            _ => None,
        });
        // Subscribed under the lock, so that a release after this request is not missed.
        let held = hold.map(|_| shared.release.subscribe());
        let acts_now = hold != Some(false);
        let reply = acts_now.then(|| act(shared, &mut state, visit, request, &faults));
        (faults, reply, held)
    };
    shared.put_received.notify_all();
    if let Some(mut held) = held {
        // The sender lives in `shared`, so waiting ends by release alone.
        let _ = held.changed().await;
    }
    let reply = match reply {
        Some(reply) => reply,
        None => act(shared, &mut shared.lock(), visit, request, &faults),
    };
    let mut due = arrived;
    if visit.route.is_change() {
        due += shared.config.latency;
    }
    for kind in &faults {
        if let FaultKind::Slow { millis } = kind {
            due += Duration::from_millis(*millis);
        }
    }
    tokio::time::sleep_until(due.into()).await;
    for kind in &faults {
        match kind {
            FaultKind::Silent => std::future::pending().await,
            FaultKind::CloseBefore | FaultKind::CloseAfter => return Err(ConnectionCut),
            _ => {}
        }
    }
    let how = match reply.truncated {
        true => Completion::Cut,
        false => Completion::Status(reply.status),
    };
    visit.complete(&mut shared.lock(), how);
    Ok(reply)
}

fn act(
    shared: &Shared,
    state: &mut SimState,
    visit: &mut Visit,
    request: &ServiceRequest,
    faults: &[FaultKind],
) -> ServiceReply {
    let is_unheard = |kind| matches!(kind, &FaultKind::Silent | &FaultKind::CloseBefore);
    if faults.iter().any(is_unheard) {
        // The caller never sees it; the request only has to end up unacted.
        return ServiceReply::error(503, "APIGW.0201", "never sent");
    }
    if let Some(reply) = faults.iter().find_map(instead) {
        return reply;
    }
    if request.body.is_none() {
        return ServiceReply::error(413, "APIGW.0201", "The request body is too large.");
    }
    let mut exchange = SimExchange {
        shared,
        state,
        request,
        faults,
        changed: None,
    };
    let reply = (visit.route.answer)(&mut exchange).unwrap_or_else(|refusal| refusal);
    visit.changed = exchange.changed;
    faults.iter().fold(reply, dress)
}

/// Returns the answer that replaces acting on the request, if the fault has one.
fn instead(kind: &FaultKind) -> Option<ServiceReply> {
    let reply = match kind {
        FaultKind::Status(answer) => {
            let mut reply = match &answer.body {
                Some(body) => ServiceReply::text(answer.http, "application/json", body.clone()),
                None => ServiceReply::error(answer.http, &answer.code, &answer.message),
            };
            if let Some(content_type) = &answer.content_type {
                reply.content_type.clone_from(content_type);
            }
            let headers = answer.headers.iter();
            headers.fold(reply, |reply, (name, value)| reply.header(name, value))
        }
        FaultKind::TooMany { code, .. } => ServiceReply::error(400, code, "too many entries"),
        FaultKind::PoisonEntry { code, message, .. } => ServiceReply::error(400, code, message),
        FaultKind::Throttled { retry_after } => {
            let reply = ServiceReply::error(
                429,
                "APIGW.0308",
                "The throttling threshold has been reached: policy ip over ratelimit,limit:5,time:1 minute",
            );
            let seconds = retry_after.iter();
            seconds.fold(reply, |reply, seconds| {
                reply.header("Retry-After", seconds.to_string())
            })
        }
        FaultKind::Busy => ServiceReply::error(
            202,
            "DRS.M01504",
            "Another operation is being performed on the task or the task is abnormal.",
        ),
        FaultKind::TokenExpired { http, code } => {
            let (usual, message) = match http {
                403 => ("DRS.M00100", "Invalid token."),
                _ => (
                    "APIGW.0301",
                    "Incorrect IAM authentication information: token expires",
                ),
            };
            ServiceReply::error(*http, code.as_deref().unwrap_or(usual), message)
        }
        FaultKind::Html {
            http,
            act_first: false,
        } => html(*http),
        _ => return None,
    };
    Some(reply)
}

fn dress(mut reply: ServiceReply, kind: &FaultKind) -> ServiceReply {
    match kind {
        FaultKind::Gzip => return reply.header("Content-Encoding", "gzip"),
        FaultKind::Huge { bytes } => {
            // Blanks before the closing brace keep the JSON whole.
            if let Some(brace) = reply.body.pop() {
                let length = reply.body.len().max(bytes.saturating_sub(1));
                reply.body.resize(length, b' ');
                reply.body.push(brace);
            }
        }
        FaultKind::NotJson => reply.body = b"OK, passwords {changed".to_vec(),
        FaultKind::Html {
            http,
            act_first: true,
        } => return html(*http),
        FaultKind::Truncated => reply.truncated = true,
        _ => {}
    }
    reply
}

fn html(status: u16) -> ServiceReply {
    let filler = "<div class=\"cf-row\">The origin did not answer in time.</div>\n".repeat(600);
    let body = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body>\n{filler}</body></html>\n"
    );
    ServiceReply::text(status, "text/html; charset=UTF-8", body)
}
