//! Parses the two formats in which the original kept its settings into names and texts.

use serde_json::Value;

/// Why a file contains no settings. The errors quote nothing from the file, since it contains keys.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the file is not text in UTF-8 or UTF-16; save it as UTF-8")]
    Encoding,
    #[error(
        "line {line} is not a `NAME=value` (comments begin with #); correct it, or export the variables as JSON"
    )]
    Line { line: usize },
    #[error("line {line} opens a quote that is never closed; close it")]
    OpenQuote { line: usize },
    #[error("the JSON cannot be read (line {line}, column {column}); export the variables again")]
    Json { line: usize, column: usize },
    #[error(
        "the file names none of the original's settings; give its .env file, or the Automation variables as JSON \
         (`Get-AzAutomationVariable`)"
    )]
    Nothing,
    #[error(
        "the file is a plan or a report of this program, not settings; give the original's .env file, or the Automation \
         variables as JSON (`Get-AzAutomationVariable`)"
    )]
    Report,
}

/// One variable; `None` if the export left out an encrypted value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// Decodes a file: UTF-8, or UTF-16 with a byte order mark, which `>` of Windows PowerShell writes.
pub fn decode(bytes: &[u8]) -> Result<String, ImportError> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
        text.ok_or(ImportError::Encoding)
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| ImportError::Encoding)?;
            Ok(text.trim_start_matches('\u{feff}').to_owned())
        }
    }
}

pub(super) fn variables(text: &str) -> Result<Vec<Variable>, ImportError> {
    if text.trim_start().starts_with(['{', '[']) {
        let json: Value = serde_json::from_str(text).map_err(|error| ImportError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        // Some of its members are called as settings are.
        if json["schema"].is_u64() && json["actions"].is_array() {
            return Err(ImportError::Report);
        }
        let mut found = Vec::new();
        collect(&json, &mut found);
        Ok(found)
    } else {
        dotenv(text)
    }
}

/// The formats of an export: a list of named values (`az`, `Get-AzAutomationVariable | ConvertTo-Json`), the same list
/// below `value`, `resources` or `properties` (REST, ARM), or an object of names and values, also below `Values`.
fn collect(json: &Value, found: &mut Vec<Variable>) {
    match json {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(members) => {
            let member = |name: &str| {
                let mut members = members.iter();
                let known = members.find(|(known, _)| known.eq_ignore_ascii_case(name));
                known.map(|(_, value)| value)
            };
            let named = member("name").and_then(Value::as_str);
            let value = member("value").or_else(|| {
                let properties = member("properties")?.as_object()?;
                let mut members = properties.iter();
                let known = members.find(|(known, _)| known.eq_ignore_ascii_case("value"));
                Some(known.map_or(&Value::Null, |(_, value)| value))
            });
            if let (Some(name), Some(value)) = (named, value) {
                found.push(Variable {
                    name: last_part(name).to_owned(),
                    value: text_of(value),
                });
                return;
            }
            for (name, value) in members {
                match value {
                    Value::Object(_) => collect(value, found),
                    Value::Array(values) if values.iter().any(Value::is_object) => {
                        collect(value, found);
                    }
                    Value::Array(_)
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_) => found.push(Variable {
                        name: name.clone(),
                        value: text_of(value),
                    }),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Accepts `account/NAME`, and the expression `[concat(…, '/NAME')]` of an exported template.
fn last_part(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.trim_end_matches(|c: char| !c.is_alphanumeric())
}

/// Automation stores a text as JSON with quotes; some exports remove them.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::String(inner)) => Some(inner),
            Ok(Value::Null) => None,
            _ => Some(text.clone()),
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// `NAME=value` lines as common parsers of `.env` files read them: `export`, comments, quotes over several lines.
pub(crate) fn dotenv(text: &str) -> Result<Vec<Variable>, ImportError> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line
            .split_once('=')
            .filter(|(name, _)| is_name(name.trim()))
            .ok_or(ImportError::Line { line: at + 1 })?;
        let mut rest = rest.trim_start().to_owned();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut closed = quoted(&rest, quote);
                loop {
                    if let Some(value) = closed {
                        break value;
                    }
                    let (_, next) = lines
                        .next()
                        .ok_or(ImportError::OpenQuote { line: at + 1 })?;
                    rest.push('\n');
                    rest.push_str(next);
                    // Searching the whole value again for each line would take minutes for a long file.
                    closed = next.contains(quote).then(|| quoted(&rest, quote)).flatten();
                }
            }
            _ => bare(&rest).to_owned(),
        };
        found.push(Variable {
            name: name.trim().to_owned(),
            value: Some(value),
        });
    }
    Ok(found)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The value inside quotes; `None` if they are not closed yet. A backslash escapes within double quotes only.
fn quoted(text: &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars().skip(1);
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote == '"' => match chars.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            c if c == quote => return Some(value),
            c => value.push(c),
        }
    }
    None
}

/// A comment must follow white space, since keys may contain a `#`.
fn bare(text: &str) -> &str {
    let end = text
        .char_indices()
        .zip(std::iter::once(' ').chain(text.chars()))
        .find(|((_, c), before)| *c == '#' && before.is_whitespace())
        .map_or(text.len(), |((at, _), _)| at);
    text[..end].trim()
}

/// The entries of a list, including empty ones; `None` for an array with anything other than texts.
pub(super) fn entries(text: &str) -> Option<Vec<String>> {
    let text = unquoted(text);
    if text.starts_with('[') {
        // Python writes lists with single quotes.
        let parsed =
            serde_json::from_str(text).or_else(|_| serde_json::from_str(&text.replace('\'', "\"")));
        let entries: Vec<String> = parsed.ok()?;
        return Some(
            entries
                .iter()
                .map(|entry| entry.trim().to_owned())
                .collect(),
        );
    }
    let entry = |part: &str| unquoted(part).to_owned();
    Some(text.split([',', ';', '\n']).map(entry).collect())
}

/// Removes white space and one pair of quotes around the text.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        let inner = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
        if let Some(inner) = inner {
            // `"a","b"` is a list of quoted entries, not one quoted list.
            if !inner.contains(quote) {
                return inner.trim();
            }
        }
    }
    text
}
