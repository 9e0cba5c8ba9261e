//! The one line of a foreign page that is worth showing.

/// Most of a foreign page in which a line worth showing is looked for.
const MAX_PAGE_HEAD: usize = 4096;

/// One line of a page that is not for machines: its title if it is HTML, else
/// its first line with text; tags are dropped.
pub(super) fn first_line(page: &str) -> String {
    let head: String = page.chars().take(MAX_PAGE_HEAD).collect();
    let lowered = head.to_ascii_lowercase();
    let title = lowered.find("<title").and_then(|at| {
        let start = at + lowered[at..].find('>')? + 1;
        let end = start + lowered[start..].find('<')?;
        head.get(start..end)
    });
    let text = match title {
        Some(title) if !title.trim().is_empty() => title.trim().to_owned(),
        _ => without_tags(&head),
    };
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !matches!(c, '<' | '>')).collect()
}

/// `page` without tags, comments, scripts and styles; a tag ends the line.
fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push('\n');
        let tag = &rest[at..];
        let lowered = tag.to_ascii_lowercase();
        let end = [
            ("<!--", "-->"),
            ("<script", "</script"),
            ("<style", "</style"),
        ]
        .iter()
        .find(|(start, _)| lowered.starts_with(start))
        .map_or(Some(0), |(_, end)| lowered.find(end));
        let close = end.and_then(|end| Some(end + tag[end..].find('>')? + 1));
        rest = close.map_or("", |close| &tag[close..]);
    }
    text.push_str(rest);
    text
}
