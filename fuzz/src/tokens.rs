//! A document as the YAML parser sees it: its comments and its scalars, as they stand.

use granit_parser::{Event, Parser};

/// The comments and the scalars of a document, in order, each as its bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    pub comments: Vec<String>,
    pub scalars: Vec<String>,
}

impl Tokens {
    /// Takes the text of a document that can be read.
    pub fn of(text: &str) -> Self {
        let options = granit_parser::options! { emit_comments: true };
        let mut tokens = Self {
            comments: Vec::new(),
            scalars: Vec::new(),
        };
        let mut parser = Parser::new_from_str_with_options(text, options);
        while let Some(Ok((event, span))) = parser.next_event() {
            let at = |marker: granit_parser::Marker| marker.byte_offset().unwrap_or_default();
            let bytes = text.get(at(span.start)..at(span.end)).unwrap_or_default();
            match event {
                Event::Comment(..) => tokens.comments.push(bytes.trim_end().to_owned()),
                Event::Scalar(..) => tokens.scalars.push(bytes.trim_end().to_owned()),
                _ => {}
            }
        }
        tokens
    }

    /// Whether `new` holds everything of `old`, in that order.
    pub fn keeps(new: &[String], old: &[String]) -> bool {
        let mut new = new.iter();
        old.iter().all(|token| new.any(|other| other == token))
    }
}
