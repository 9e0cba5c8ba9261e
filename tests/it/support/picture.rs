//! Pictures of a terminal: what a program wrote to it, as it is seen in the end, as SVG. They
//! bring their own background, and nothing in them is fetched or runs.

use std::fmt::Write as _;
use std::num::NonZeroU16;

use vt100::{Cell, Color, Parser};

pub(crate) const COLUMNS: u16 = 80;

const ROWS: u16 = 100;
const LINE: usize = 18;
const MARGIN: usize = 16;
/// In tenths of a pixel, at 14 pixels a letter.
const LETTER: usize = 84;

const STYLE: &str = "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,\
    'Liberation Mono','DejaVu Sans Mono',monospace;fill:#e6edf3;white-space:pre}\
    .bold{font-weight:bold}.red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}\
    .blue{fill:#79c0ff}.magenta{fill:#d2a8ff}.cyan{fill:#56d4dd}.grey{fill:#9198a1}";

/// Draws what a terminal of eighty columns shows after all of this was written to it.
#[track_caller]
pub(crate) fn of_terminal(written: &str) -> String {
    let size = |count| NonZeroU16::new(count).expect("a size");
    let mut terminal = Parser::new(size(ROWS), size(COLUMNS), 0);
    terminal.process(written.as_bytes());
    let screen = terminal.screen();
    let mut rows: Vec<String> = (0..ROWS)
        .map(|row| line((0..COLUMNS).filter_map(|column| screen.cell(row, column))))
        .collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    assert!(rows.len() < usize::from(ROWS), "more than {ROWS} rows");
    let width = usize::from(COLUMNS) * LETTER / 10 + 2 * MARGIN;
    let height = rows.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#161b22\"/>\n"
    );
    for (row, text) in rows.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        let y = MARGIN + row * LINE + 14;
        let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\"{text}</text>");
    }
    svg + "</svg>\n"
}

/// The end of the opening tag and the content of a line; each run of a style is a span.
fn line<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut runs: Vec<(&str, String)> = Vec::new();
    for cell in cells {
        let style = style(cell);
        // A cell that nothing was written to is empty.
        let content = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        match runs.last_mut() {
            Some((last, text)) if *last == style => text.push_str(content),
            _ => runs.push((style, content.to_owned())),
        }
    }
    if let Some((_, text)) = runs.last_mut() {
        text.truncate(text.trim_end().len());
    }
    let letters: usize = runs.iter().map(|(_, text)| text.chars().count()).sum();
    if letters == 0 {
        return String::new();
    }
    // Whichever font is there, the columns stay below each other.
    let length = letters * LETTER;
    let mut line = format!(
        " textLength=\"{}.{}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">",
        length / 10,
        length % 10
    );
    for (style, text) in runs {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = match style {
            "" => write!(line, "{text}"),
            _ => write!(line, "<tspan class=\"{style}\">{text}</tspan>"),
        };
    }
    line
}

/// The class of a cell. What the program does not use has none yet.
#[track_caller]
fn style(cell: &Cell) -> &'static str {
    assert!(cell.bgcolor() == Color::Default && !cell.inverse());
    match cell.fgcolor() {
        Color::Default if cell.bold() => "bold",
        Color::Default if cell.dim() => "grey",
        Color::Default => "",
        Color::Idx(1 | 9) => "red",
        Color::Idx(2 | 10) => "green",
        Color::Idx(3 | 11) => "yellow",
        Color::Idx(4 | 12) => "blue",
        Color::Idx(5 | 13) => "magenta",
        Color::Idx(6 | 14) => "cyan",
        Color::Idx(8) => "grey",
        other => panic!("{other:?} is in no picture yet"),
    }
}
