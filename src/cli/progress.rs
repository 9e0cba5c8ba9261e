//! How far a long run is, on standard error: a bar on a terminal, a line now and then in a log.
//!
//! A thread of its own draws, so that a slow terminal holds up no request. Every writer takes the
//! bar away first, and nothing is drawn while someone is asked.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::core::report::{Progress, Step};
use crate::sys::signals;
use crate::view::text;

const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// The milliseconds of a second, for tests to change.
pub static SECOND: AtomicU64 = AtomicU64::new(1000);

/// Whether the terminal has no cursor to move.
pub static IS_DUMB: AtomicBool = AtomicBool::new(false);

struct ShownStep {
    step: Step,
    since: Instant,
    /// When it was shown last, or begun.
    last: Instant,
}

/// Never locked while something is written.
static STEP: Mutex<Option<ShownStep>> = Mutex::new(None);
static BEGUN: Condvar = Condvar::new();

/// The turn to write, with the bar that is on the terminal.
static SCREEN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn note(progress: Progress) {
    static DRAWING: Once = Once::new();
    let mut shown = locked(&STEP);
    match (progress, shown.as_mut().map(|shown| &mut shown.step)) {
        (Progress::Adds(more), Some(step)) if step.outcomes.is_empty() => {
            let most = if step.of == 0 { usize::MAX } else { step.of };
            step.done = most.min(step.done + more);
        }
        (Progress::Adds(_), _) => {}
        (Progress::At(now), Some(step)) if step.what == now.what => *step = now,
        (Progress::At(step), _) => {
            let (since, last) = (Instant::now(), Instant::now());
            *shown = Some(ShownStep { step, since, last });
            BEGUN.notify_one();
            // Without a thread, nothing is shown.
            let start = || thread::Builder::new().name("progress".into()).spawn(draw);
            DRAWING.call_once(|| drop(signals::without_signals(start)));
        }
    }
}

pub fn end() {
    *locked(&STEP) = None;
    drop(screen());
}

fn screen() -> MutexGuard<'static, Option<ProgressBar>> {
    let mut screen = locked(&SCREEN);
    *screen = None;
    screen
}

/// Writes to standard error, which may be closed.
pub fn write(text: &str) {
    let _turn = screen();
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes without waiting for a reader, who may be gone: the run still receives answers.
pub fn write_aside(text: String) {
    let write = move || write(&text);
    drop(signals::without_signals(|| {
        thread::Builder::new().spawn(write)
    }));
}

/// Draws nothing while someone is asked. That time counts for no step.
pub fn quietly<T>(ask: impl FnOnce() -> T) -> T {
    let _turn = screen();
    let answer = ask();
    if let Some(shown) = locked(&STEP).as_mut() {
        (shown.since, shown.last) = (Instant::now(), Instant::now());
    }
    answer
}

fn draw() {
    loop {
        drop(BEGUN.wait_while(locked(&STEP), |shown| shown.is_none()));
        thread::sleep(REDRAW_EVERY);
        draw_once(&mut locked(&SCREEN));
    }
}

fn draw_once(screen: &mut Option<ProgressBar>) {
    let mut step = locked(&STEP);
    let Some(shown) = step.as_mut() else { return };
    let is_terminal = io::stderr().is_terminal();
    let seconds = if is_terminal { 1 } else { 10 };
    let wait = Duration::from_millis(SECOND.load(Ordering::Relaxed)) * seconds;
    let is_dumb = is_terminal && IS_DUMB.load(Ordering::Relaxed);
    if is_dumb || screen.is_none() && shown.last.elapsed() < wait {
        return;
    }
    shown.last = Instant::now();
    let (of, done) = (shown.step.of as u64, shown.step.done as u64);
    let line = text::progress(&shown.step, shown.since.elapsed());
    drop(step);
    if !is_terminal {
        return drop(io::stderr().write_all((line + "\n").as_bytes()));
    }
    // The bar gets the columns that the text leaves.
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    let columns = if columns == 0 { 80 } else { columns };
    let room = usize::from(columns).saturating_sub(line.len() + 3).min(20);
    let template = match (of, room) {
        (0, _) => "{spinner} {wide_msg}".to_owned(),
        (_, 0..5) => "{wide_msg}".to_owned(),
        (_, room) => format!("[{{bar:{room}}}] {{wide_msg}}"),
    };
    let style = ProgressStyle::with_template(&template).expect("a valid template");
    let style = style.progress_chars("=> ").tick_chars("|/-\\ ");
    let bar = screen
        .take()
        .unwrap_or_else(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        .with_style(style)
        .with_message(line);
    bar.update(|state| {
        state.set_len(of);
        state.set_pos(done);
    });
    *screen = Some(bar);
}
