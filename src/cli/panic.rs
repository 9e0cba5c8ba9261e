//! A bug must not tell a secret: what a panic says can hold a value, so only its
//! place is shown.

use std::io::Write as _;
use std::panic;

/// Shows the place of a panic and nothing else, from now on.
pub fn hide_panic_messages() {
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let text = format!(
            "error: drspass failed in a way that is a bug, at {place}\n  \
             help: What was sent last may be unknown; 'drspass plan' tells. Report the place.\n"
        );
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }));
}
