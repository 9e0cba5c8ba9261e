//! Errors as a person reads them: what failed, why, and what to do. The source
//! of a document is never shown.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::view::terminal::Colour;

/// Columns of an error text.
const WIDTH: usize = 80;

/// The text of an error.
pub(super) fn error(error: &dyn Diagnostic, colour: Colour) -> String {
    let theme = match colour {
        Colour::On => GraphicalTheme::unicode(),
        Colour::Off => GraphicalTheme::unicode_nocolor(),
    };
    let mut text = String::new();
    let rendered = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false)
        .render_report(&mut text, error);
    if rendered.is_err() {
        text = format!("error: {error}\n");
    }
    text
}
