//! Settings in a file that the command line names (`--env-file`): lines `NAME=value`, or the `local.settings.json` of the
//! Azure Functions tools. Errors quote nothing from the file, since it contains keys.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use serde_json::Value;

use crate::migrate::{ImportError, decode, dotenv};

/// Of this process. Set once, before anything else is read.
static VARIABLES: OnceLock<BTreeMap<String, String>> = OnceLock::new();

#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    #[error("cannot read {file}: {cause}; check the path of --env-file")]
    File { file: String, cause: std::io::Error },
    #[error("cannot read {file}: it is not text in UTF-8 or UTF-16; save it as UTF-8")]
    Encoding { file: String },
    #[error("{file}, line {line}: {problem}")]
    Line {
        file: String,
        line: usize,
        problem: &'static str,
    },
    #[error("{file}: {problem}")]
    Content { file: String, problem: String },
}

/// Reads the file. A variable of the environment has precedence over one of the file.
pub fn use_env_file(path: &Path) -> Result<(), EnvFileError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|cause| EnvFileError::File {
        file: file.clone(),
        cause,
    })?;
    let text = decode(&bytes).map_err(|error| in_file(&file, &error))?;
    let variables = if text.trim_start().starts_with('{') {
        local_settings(&file, &text)?
    } else {
        lines(&file, &text)?
    };
    VARIABLES.get_or_init(|| variables);
    Ok(())
}

pub(super) fn value(name: &str) -> Option<&'static str> {
    VARIABLES.get()?.get(name).map(String::as_str)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES
        .get()
        .into_iter()
        .flat_map(|variables| variables.keys().map(String::as_str))
}

fn lines(file: &str, text: &str) -> Result<BTreeMap<String, String>, EnvFileError> {
    let variables = dotenv(text).map_err(|error| in_file(file, &error))?;
    let mut found = BTreeMap::new();
    for variable in variables {
        let name = variable.name;
        let value = variable.value.unwrap_or_default();
        if found.insert(name.clone(), value).is_some() {
            return Err(EnvFileError::Content {
                file: file.to_owned(),
                problem: format!("{name} is set twice: remove one of the lines"),
            });
        }
    }
    Ok(found)
}

fn local_settings(file: &str, text: &str) -> Result<BTreeMap<String, String>, EnvFileError> {
    let content = |problem: &str| EnvFileError::Content {
        file: file.to_owned(),
        problem: problem.to_owned(),
    };
    let json: Value = serde_json::from_str(text).map_err(|error| EnvFileError::Line {
        file: file.to_owned(),
        line: error.line(),
        problem: "the JSON is invalid",
    })?;
    if json["IsEncrypted"] == true {
        return Err(content(
            "the values are encrypted: run `func settings decrypt`",
        ));
    }
    let Some(values) = json["Values"].as_object() else {
        return Err(content(
            "the JSON has no object `Values`, as a local.settings.json has",
        ));
    };
    let texts = values.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok((name.clone(), value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(content(&format!(
            "the value of {name} is not a text: quote it"
        ))),
    });
    texts.collect()
}

fn in_file(file: &str, error: &ImportError) -> EnvFileError {
    let file = file.to_owned();
    match *error {
        ImportError::Line { line } => EnvFileError::Line {
            file,
            line,
            problem: "write NAME=value; a comment begins with #",
        },
        ImportError::OpenQuote { line } => EnvFileError::Line {
            file,
            line,
            problem: "close the quote",
        },
        ImportError::Encoding => EnvFileError::Encoding { file },
        ImportError::Json { line, .. } => EnvFileError::Line {
            file,
            line,
            problem: "the JSON is invalid",
        },
        ImportError::Nothing | ImportError::Report => EnvFileError::Content {
            file,
            problem: "it has no settings".to_owned(),
        },
    }
}
