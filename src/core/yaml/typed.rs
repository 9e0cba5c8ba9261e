//! Values of the types that both formats use: texts, numbers, lists of texts.

use super::{Node, Path, Read, Reader, Scalar, reads_as_other_type};
use crate::core::problem::Position;

impl<'t> Reader<'t> {
    /// A text that is not a secret. What another reader could take for a
    /// number, a switch, a date or nothing must be quoted.
    /// Nothing is returned for a value that was refused.
    pub(crate) fn text(&mut self, node: Node<'t>, path: &Path<'_>) -> Read<Option<Scalar<'t>>> {
        let scalar = match node {
            Node::Scalar(scalar) => scalar,
            Node::Refused => return Ok(None),
            node => {
                self.wrong_kind(node, path, "is not a text", "Write one text, in quotes.")?;
                return Ok(None);
            }
        };
        let (what, help) = if scalar.is_null() {
            ("has no value", "Give it a value or remove the key.")
        } else if scalar.is_plain && reads_as_other_type(&scalar.text) {
            (
                "can be read as a number, a date or a switch",
                "Quote it, so that every reader takes it for a text.",
            )
        } else if scalar.text.is_empty() {
            ("is empty", "Give it a value or remove the key.")
        } else {
            return Ok(Some(scalar));
        };
        self.error(path, Some(scalar.at), what, help)?;
        Ok(None)
    }

    /// A whole number written plainly, like `10`.
    /// Nothing is returned for a value that was refused.
    pub(crate) fn number(
        &mut self,
        node: Node<'t>,
        path: &Path<'_>,
    ) -> Read<Option<(u64, Position)>> {
        const HELP: &str = "Write a whole number without quotes, like 10.";
        let scalar = match node {
            Node::Scalar(scalar) => scalar,
            Node::Refused => return Ok(None),
            node => {
                self.wrong_kind(node, path, "is not a number", HELP)?;
                return Ok(None);
            }
        };
        let text: &str = &scalar.text;
        let is_decimal = scalar.is_plain
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        match text.parse::<u64>() {
            Ok(number) if is_decimal => Ok(Some((number, scalar.at))),
            _ => {
                self.error(path, Some(scalar.at), "is not a number", HELP)?;
                Ok(None)
            }
        }
    }

    /// The version of a format, of which there is only the first so far.
    pub(crate) fn version(&mut self, node: Node<'t>, path: &Path<'_>) -> Read<()> {
        match self.number(node, path)? {
            Some((1, _)) | None => Ok(()),
            Some((_, at)) => {
                let help = "This program reads version 1; a newer one may read this file.";
                self.error(path, Some(at), "an unknown version of the format", help)
            }
        }
    }

    /// A list of texts with their places, at least one.
    /// Nothing is returned for a value that was refused, also in part.
    pub(crate) fn texts(
        &mut self,
        node: Node<'t>,
        path: &Path<'_>,
    ) -> Read<Option<Vec<(String, Position)>>> {
        let Node::List { at, .. } = node else {
            let help = "Write each text on a line of its own, after a dash.";
            self.wrong_kind(node, path, "is not a list", help)?;
            return Ok(None);
        };
        let mut list = Vec::new();
        let mut number = 0;
        while let Some(node) = self.item(path)? {
            number += 1;
            if let Some(scalar) = self.text(node, &path.number(number))? {
                list.push((scalar.text.into_owned(), scalar.at));
            }
        }
        if number == 0 {
            self.error(path, Some(at), "is an empty list", "Name at least one.")?;
        }
        Ok((number > 0 && list.len() == number).then_some(list))
    }

    /// Reports a value of a kind that does not fit, and reads over it.
    pub(crate) fn wrong_kind(
        &mut self,
        node: Node<'t>,
        path: &Path<'_>,
        what: &'static str,
        help: &'static str,
    ) -> Read<()> {
        let at = node.at();
        let is_refused = matches!(node, Node::Refused);
        self.skip(node)?;
        if is_refused {
            return Ok(());
        }
        self.error(path, at, what, help)
    }
}
