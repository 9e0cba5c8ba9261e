//! How a foreign text may have been written: each decoder gives one reading of
//! it, so that a search need not know how a careless encoder works.

use zeroize::Zeroizing;

/// The text as it stands and as each decoder reads it, also one decoder after
/// another: a body quoted inside a body is escaped twice.
pub(super) fn of(text: &str) -> Vec<Zeroizing<String>> {
    const DEPTH: usize = 2;
    let mut all = vec![Zeroizing::new(text.to_owned())];
    let mut fresh = 0;
    for _ in 0..DEPTH {
        let end = all.len();
        for i in fresh..end {
            for decode in [json_unescaped, percent_decoded, form_decoded, unreferenced] {
                let decoded = decode(&all[i]);
                if !all.contains(&decoded) {
                    all.push(decoded);
                }
            }
        }
        fresh = end;
    }
    all
}

fn json_unescaped(text: &str) -> Zeroizing<String> {
    let mut units: Zeroizing<Vec<u16>> = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escape = rest.strip_prefix('\\').and_then(|after| {
            let kind = after.chars().next()?;
            let simple = match kind {
                '"' | '\\' | '/' => kind,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => return Some((hex_number(after.get(1..5)?)?, after.get(5..)?)),
                _ => return None,
            };
            Some((u16::try_from(u32::from(simple)).ok()?, &after[1..]))
        });
        if let Some((unit, after)) = escape {
            units.push(unit);
            rest = after;
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            rest = &rest[c.len_utf8()..];
        }
    }
    Zeroizing::new(String::from_utf16_lossy(&units))
}

fn percent_decoded(text: &str) -> Zeroizing<String> {
    let mut bytes: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut i = 0;
    while let Some(&byte) = text.as_bytes().get(i) {
        let pair = text.get(i + 1..i + 3).filter(|_| byte == b'%');
        let decoded = pair.and_then(hex_number).and_then(|n| u8::try_from(n).ok());
        bytes.push(decoded.unwrap_or(byte));
        i += if decoded.is_some() { 3 } else { 1 };
    }
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}

fn form_decoded(text: &str) -> Zeroizing<String> {
    percent_decoded(&Zeroizing::new(text.replace('+', " ")))
}

/// Character references of HTML and XML, as an error page would use them.
fn unreferenced(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name = after
            .find(';')
            .filter(|end| *end <= 8)
            .map(|end| &after[..end]);
        if let Some((name, c)) = name.and_then(|name| Some((name, referenced(name)?))) {
            out.push(c);
            rest = &after[name.len() + 1..];
        } else {
            out.push('&');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn referenced(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    let known = [
        ("quot", '"'),
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("apos", '\''),
    ];
    known.iter().find(|(n, _)| *n == name).map(|(_, c)| *c)
}

fn hex_number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}
