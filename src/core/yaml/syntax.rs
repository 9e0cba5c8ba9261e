//! Syntax errors in words of drspass. The parser's are never shown, since they may contain
//! characters of the document.

use granit_parser::{ErrorKind, ScanError};

use super::position;
use super::text::line_start;
use crate::core::problem::{Position, Problem};

pub fn problem(text: &str, error: &ScanError) -> Problem {
    let marker = error.marker();
    let at = position(*marker);
    // An unquoted value that runs into a tab is reported at its start, so the tab may indent the
    // line after it.
    let runs_on = matches!(error.kind(), ErrorKind::TabInPlainScalar);
    if let Some(tab) = tab_in_indentation(text, marker.byte_offset(), at, runs_on) {
        return Problem::error("", Some(tab), TAB_INDENT.0, TAB_INDENT.1);
    }
    let (what, help) = describe(error.kind());
    Problem::error("", Some(at), what, help)
}

/// Returns the first tab in the indentation of an error's line, or of the next line if the error
/// `runs_on`: whatever the parser reported, the tab is the reason.
fn tab_in_indentation(
    text: &str,
    offset: Option<usize>,
    at: Position,
    runs_on: bool,
) -> Option<Position> {
    let (before, after) = text.split_at_checked(offset?)?;
    let start = line_start(before, before.len());
    let next = after.find('\n').filter(|_| runs_on);
    let lines = [
        (text.get(start..), at.line),
        (next.and_then(|at| after.get(at + 1..)), at.line + 1),
    ];
    lines.into_iter().find_map(|(rest, line)| {
        let rest = rest?;
        let blanks = rest.find(|c| c != ' ')?;
        (rest.as_bytes().get(blanks) == Some(&b'\t')).then_some(Position {
            line,
            column: blanks + 1,
        })
    })
}

type SyntaxWords = (&'static str, &'static str);

const TOO_DEEP: SyntaxWords = (
    "nested too deeply",
    "Check the brackets; the format needs no more than six levels.",
);
const TAB_INDENT: SyntaxWords = ("is indented with a tab", "Indent with spaces only.");
const TAB_IN_VALUE: SyntaxWords = (
    "an unquoted value contains a tab",
    "Quote the value, or use a space.",
);
const MARK_INSIDE: SyntaxWords = (
    "the document contains a byte order mark",
    "Remove it, or write it as \\uFEFF inside double quotes.",
);
const UNCLOSED_QUOTE: SyntaxWords = (
    "a quoted string is not closed",
    "Close the quotes. Inside double quotes write \\\" for a quote, inside single quotes ''.",
);
const AFTER_QUOTE: SyntaxWords = (
    "text follows the closing quote",
    "Inside double quotes write \\\" for a quote, inside single quotes ''.",
);
const ESCAPE: SyntaxWords = (
    "an escape in double quotes is invalid",
    "Write \\\\ for a backslash, or use single quotes.",
);
const QUOTE_INDENT: SyntaxWords = (
    "a quoted string is not closed, or continues without indentation",
    "Close the quotes on the line where the value starts.",
);
const FLOW_INDENT: SyntaxWords = (
    "a value continues without indentation",
    "Indent the line, or close the brackets before it.",
);
const BRACKETS: SyntaxWords = (
    "brackets or braces do not match, or a comma is missing",
    "Quote values that contain brackets, braces or commas.",
);
const COLON: SyntaxWords = (
    "unexpected colon",
    "Quote values that contain a colon, and check the indentation.",
);
const MISFIT: SyntaxWords = (
    "the line does not match the lines before it",
    "Check the indentation, and that each key is followed by a colon and a space.",
);
const CHARACTER: SyntaxWords = (
    "a value starts with or contains an invalid character",
    "Quote the value; write control characters as escapes inside double quotes.",
);
const ANCHORS: SyntaxWords = (
    "anchors and aliases are not supported",
    "Quote a value that starts with `&` or `*`.",
);
const TAGS: SyntaxWords = (
    "tags are not supported",
    "Quote a value that starts with `!`.",
);
const COMMENT: SyntaxWords = (
    "unexpected comment",
    "Quote values that contain `#`; put a space before a comment.",
);
const BLOCK: SyntaxWords = (
    "invalid block string",
    "Write `|-`, then the text on lines of its own, all indented alike.",
);
const DIRECTIVE: SyntaxWords = (
    "a line that starts with `%` is not a valid directive",
    "Remove it; none is needed.",
);
const AFTER_END: SyntaxWords = (
    "text follows the end of the document",
    "Keep one document in the file.",
);
const TOO_EARLY: SyntaxWords = (
    "the file ends too early",
    "Check that it was written completely.",
);
const OTHER: SyntaxWords = (
    "not valid YAML",
    "Check the indentation, the quotes and the brackets.",
);

fn describe(kind: &ErrorKind) -> SyntaxWords {
    use ErrorKind as E;
    match kind {
        E::RecursionLimitExceeded => TOO_DEEP,
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart => TAB_INDENT,
        E::TabInPlainScalar => TAB_IN_VALUE,
        E::BomInsideDocument => MARK_INSIDE,
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => UNCLOSED_QUOTE,
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => AFTER_QUOTE,
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => ESCAPE,
        E::InvalidQuotedScalarIndent => QUOTE_INDENT,
        E::InvalidFlowScalarIndent => FLOW_INDENT,
        E::UnclosedFlowCollection { .. }
        | E::MismatchedFlowCollectionEnd { .. }
        | E::MisplacedFlowCollectionEnd
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator => BRACKETS,
        E::MappingValueNotAllowed
        | E::InvalidColonPlacement
        | E::InvalidMappingValueWhitespace
        | E::FlowMappingValueAdjacentCollection => COLON,
        E::InvalidIndentation
        | E::ExpectedBlockMappingKey
        | E::MappingKeyNotAllowed
        | E::SimpleKeyExpected
        | E::InvalidSimpleKey
        | E::ExpectedBlockSequenceEntry
        | E::BlockSequenceEntryNotAllowed
        | E::BlockEntryInFlowCollection
        | E::InvalidBlockEntryWhitespace => MISFIT,
        E::UnexpectedCharacter { .. }
        | E::ExpectedNodeContent
        | E::PlainScalarStartsWithDashFlowIndicator
        | E::UnexpectedEndOfPlainScalar => CHARACTER,
        E::MissingAnchorOrAliasName | E::UnknownAnchor | E::AnchorCountOverflow => ANCHORS,
        E::ExpectedTagBang
        | E::UndeclaredTagHandle
        | E::InvalidGlobalTagCharacter
        | E::InvalidTagTerminator
        | E::MissingTagUri
        | E::UnclosedVerbatimTag
        | E::InvalidTagEscape
        | E::InvalidTagUtf8LeadingByte
        | E::InvalidTagUtf8TrailingByte
        | E::InvalidTagUtf8 => TAGS,
        E::CommentInterceptedScalar | E::CommentNotSeparated => COMMENT,
        E::ZeroBlockScalarIndent | E::InvalidBlockScalarHeader | E::InvalidBlockScalarIndent => {
            BLOCK
        }
        E::DuplicateVersionDirective
        | E::UnsupportedYamlMajorVersion
        | E::DuplicateTagDirective
        | E::ExpectedTagDirectiveBang
        | E::InvalidTagDirectiveTerminator
        | E::InvalidDirectiveTerminator
        | E::MissingYamlVersionSeparator
        | E::MissingDirectiveName
        | E::InvalidDirectiveName
        | E::DirectiveByteLimitExceeded { .. }
        | E::TooManyReservedDirectiveParams { .. }
        | E::YamlVersionTooLong
        | E::MissingYamlVersion => DIRECTIVE,
        E::MissingDocumentEndBeforeDirective | E::ExpectedDocumentStart | E::InvalidDocumentEnd => {
            AFTER_END
        }
        E::UnexpectedEof | E::UnexpectedEofBlockMapping | E::UnexpectedEofBlockSequence => {
            TOO_EARLY
        }
        _ => OTHER,
    }
}
