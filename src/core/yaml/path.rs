//! Names of fields as they are shown: `jobs.<id>.source.password`.
//! They hold only names that the format defines, positions, and job ids of the
//! usual shape, never other text of the document.

use std::fmt;

/// One step from a map or list to a value inside it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'static str),
    Number(usize),
    Chosen {
        key: &'a str,
        number: usize,
        may_show: fn(&str) -> bool,
    },
}

/// The way to a value. It costs nothing until it is shown.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

impl<'a> Path<'a> {
    /// The document itself; shown as nothing.
    pub(crate) const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    /// A field that the format defines.
    pub(crate) fn field(&'a self, name: &'static str) -> Self {
        self.step(Step::Field(name))
    }

    /// The nth item of a list or pair of a map, from 1.
    pub(crate) fn number(&'a self, number: usize) -> Self {
        self.step(Step::Number(number))
    }

    /// A key that the user chose: shown if `may_show` allows it, or else named by
    /// its position in the map.
    pub(crate) fn chosen(
        &'a self,
        key: &'a str,
        number: usize,
        may_show: fn(&str) -> bool,
    ) -> Self {
        self.step(Step::Chosen {
            key,
            number,
            may_show,
        })
    }

    fn step(&'a self, step: Step<'a>) -> Self {
        Path {
            parent: Some(self),
            step,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if parent.parent.is_some() {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => f.write_str(name),
            Step::Chosen { key, may_show, .. } if may_show(key) => f.write_str(key),
            Step::Number(number) | Step::Chosen { number, .. } => write!(f, "#{number}"),
        }
    }
}
