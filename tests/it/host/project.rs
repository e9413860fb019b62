//! The app root as the host reads it: host.json and the functions' bindings (`docs/specs/functions-host.md`, "1.1 The
//! `customHandler` section" and "5. host.json and function.json").

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// App settings by name.
pub(crate) type AppSettings = BTreeMap<String, String>;

/// An app root with the project's files and the built binary.
pub(crate) fn app_root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "host.json",
        "SyncTimer/function.json",
        "SyncHttp/function.json",
        "SyncQueue/function.json",
    ] {
        let to = root.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(project.join(file), to).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_cloud-sync"));
    let handler = root.path().join("handler");
    fs::hard_link(binary, &handler)
        .or_else(|_| fs::copy(binary, &handler).map(drop))
        .unwrap();
    root
}

/// What the host reads before it starts anything.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// As 1.1 resolves it: a full path, or a name for the system's search path.
    pub(crate) executable: PathBuf,
    pub(crate) functions: BTreeMap<String, Function>,
    /// Functions that are left out, with the reason.
    pub(crate) broken: BTreeMap<String, String>,
    pub(crate) function_timeout: Duration,
    pub(crate) queues: QueueOptions,
    pub(crate) route_prefix: String,
    pub(crate) stderr_is_errors: bool,
    /// The user that the handler runs as, with only the variables of the host, as on a separate machine. `None`: as
    /// this process.
    pub(crate) user: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueOptions {
    pub(crate) batch_size: usize,
    pub(crate) new_batch_threshold: usize,
    pub(crate) dequeues_max: u32,
    /// The pause before a failed message is tried again.
    pub(crate) visibility_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) trigger: Trigger,
    pub(crate) outputs: Vec<Output>,
    pub(crate) retry: Option<Retry>,
}

/// How often a failed invocation is tried again, and after which pause (5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) count_max: u32,
    pub(crate) delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    Timer {
        name: String,
    },
    Http {
        name: String,
        route: String,
        methods: Vec<String>,
        needs_key: bool,
    },
    Queue {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    Http { name: String },
    Queue { name: String },
}

/// Which provider of settings resolves `%NAME%` (5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Azure,
    /// `func start` does not find names with two underscores.
    CoreTools,
}

impl Project {
    pub(crate) fn read(
        root: &Path,
        settings: &AppSettings,
        provider: Provider,
    ) -> Result<Self, String> {
        let host = read_json(&root.join("host.json")).map_err(|error| error.to_string())?;
        let host = Overridden { host, settings };
        let handler = "customHandler/description";
        let path = host.text(&format!("{handler}/defaultExecutablePath"));
        let path = resolve(&path.unwrap_or_default(), settings, provider)?;
        if path.is_empty() {
            return Err("customHandler.description.defaultExecutablePath is empty".to_owned());
        }
        let joined = root.join(&path);
        let executable = if joined.is_file() {
            joined
        } else {
            PathBuf::from(path)
        };
        let queues = "extensions/queues";
        let number = |name: &str, default: usize| {
            host.text(&format!("{queues}/{name}"))
                .map_or(default, |text| text.parse().unwrap())
        };
        let batch_size = number("batchSize", 16);
        let mut project = Self {
            root: root.to_owned(),
            executable,
            functions: BTreeMap::new(),
            broken: BTreeMap::new(),
            function_timeout: host
                .text("functionTimeout")
                .map_or(Duration::from_secs(30 * 60), |text| time_span(&text)),
            queues: QueueOptions {
                batch_size,
                new_batch_threshold: number("newBatchThreshold", batch_size / 2),
                dequeues_max: u32::try_from(number("maxDequeueCount", 5)).unwrap(),
                visibility_timeout: host
                    .text(&format!("{queues}/visibilityTimeout"))
                    .map_or(Duration::ZERO, |text| time_span(&text)),
            },
            route_prefix: host
                .text("extensions/http/routePrefix")
                .unwrap_or_else(|| "api".to_owned()),
            stderr_is_errors: host
                .text(&format!("{handler}/useStdErrorStreamForErrorsOnly"))
                .is_none_or(|text| text == "true"),
            user: None,
        };
        let bundle = host.text("extensionBundle/id").is_some();
        for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap()) {
            let name = folder.file_name().into_string().unwrap();
            let file = folder.path().join("function.json");
            if !file.is_file() {
                continue;
            }
            match function(
                &name,
                &read_json(&file).unwrap(),
                settings,
                provider,
                bundle,
            ) {
                Ok(function) => drop(project.functions.insert(name, function)),
                Err(why) => drop(project.broken.insert(name, why)),
            }
        }
        Ok(project)
    }
}

/// host.json under the settings `AzureFunctionsJobHost__a__b`.
struct Overridden<'a> {
    host: Value,
    settings: &'a AppSettings,
}

impl Overridden<'_> {
    fn text(&self, path: &str) -> Option<String> {
        let name = format!("AzureFunctionsJobHost__{}", path.replace('/', "__"));
        self.settings.get(&name).cloned().or_else(|| {
            match self.host.pointer(&format!("/{path}"))? {
                Value::String(text) => Some(text.clone()),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_)) => Some(other.to_string()),
            }
        })
    }
}

fn read_json(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// `hh:mm:ss`
fn time_span(text: &str) -> Duration {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let &[hours, minutes, seconds] = parts.as_slice() else {
        panic!("{text} is no time span");
    };
    Duration::from_secs(hours * 3600 + minutes * 60 + seconds)
}

/// Replaces each `%NAME%`.
fn resolve(text: &str, settings: &AppSettings, provider: Provider) -> Result<String, String> {
    let mut resolved = String::new();
    for (at, part) in text.split('%').enumerate() {
        if at % 2 == 0 {
            resolved.push_str(part);
            continue;
        }
        let hidden = provider == Provider::CoreTools && part.contains("__");
        let value = settings.get(part).filter(|_| !hidden);
        resolved.push_str(value.ok_or_else(|| format!("'%{part}%' does not resolve to a value."))?);
    }
    Ok(resolved)
}

fn function(
    name: &str,
    json: &Value,
    settings: &AppSettings,
    provider: Provider,
    bundle: bool,
) -> Result<Function, String> {
    if is_disabled(name, settings) {
        return Err(format!("Function '{name}' is disabled via App Setting"));
    }
    let text = |binding: &Value, member: &str| binding[member].as_str().unwrap_or("").to_owned();
    let bindings = json["bindings"].as_array().cloned().unwrap_or_default();
    let mut trigger = None;
    let mut outputs = Vec::new();
    for binding in &bindings {
        let kind = text(binding, "type");
        let name = text(binding, "name");
        if kind.starts_with("queue") && !bundle {
            return Err(format!("The binding type(s) '{kind}' are not registered."));
        }
        match kind.as_str() {
            "timerTrigger" => {
                let schedule = resolve(&text(binding, "schedule"), settings, provider)?;
                if !is_schedule(&schedule) {
                    return Err(format!(
                        "The '{schedule}' was not recognized as a valid cron expression or timespan."
                    ));
                }
                trigger = Some(Trigger::Timer { name });
            }
            "httpTrigger" => {
                let methods = binding["methods"].as_array().cloned().unwrap_or_default();
                trigger = Some(Trigger::Http {
                    name,
                    route: text(binding, "route"),
                    methods: methods
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_ascii_uppercase)
                        .collect(),
                    needs_key: text(binding, "authLevel") != "anonymous",
                });
            }
            "queueTrigger" => {
                resolve(&text(binding, "queueName"), settings, provider)?;
                trigger = Some(Trigger::Queue { name });
            }
            "http" => outputs.push(Output::Http { name }),
            "queue" => outputs.push(Output::Queue { name }),
            other => return Err(format!("unknown binding {other}")),
        }
    }
    Ok(Function {
        name: name.to_owned(),
        trigger: trigger.ok_or("no trigger")?,
        outputs,
        retry: retry(&json["retry"])?,
    })
}

fn retry(json: &Value) -> Result<Option<Retry>, String> {
    if json.is_null() {
        return Ok(None);
    }
    let count_max = json["maxRetryCount"].as_u64();
    match (
        json["strategy"].as_str(),
        count_max,
        json["delayInterval"].as_str(),
    ) {
        (Some("fixedDelay"), Some(count_max), Some(delay)) => Ok(Some(Retry {
            count_max: u32::try_from(count_max).unwrap(),
            delay: time_span(delay),
        })),
        _ => Err(format!("unknown retry policy {json}")),
    }
}

/// By a setting, in either spelling.
fn is_disabled(function: &str, settings: &AppSettings) -> bool {
    let names = [".", "_", "__"].map(|dot| format!("AzureWebJobs{dot}{function}{dot}Disabled"));
    let mut values = names.iter().filter_map(|name| settings.get(name));
    values.any(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

/// Covers as much of NCRONTAB and `TimeSpan` as is needed to distinguish schedules that the host starts from those that
/// it leaves out. Independent of the program's parser.
fn is_schedule(text: &str) -> bool {
    const LARGEST: [u32; 6] = [59, 59, 23, 31, 12, 6];
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [span] = fields.as_slice() {
        return span.split(':').count() == 3
            && span.split(':').all(|part| part.parse::<u32>().is_ok());
    }
    let largest = LARGEST.iter().skip(6_usize.saturating_sub(fields.len()));
    matches!(fields.len(), 5 | 6)
        && fields.iter().zip(largest).all(|(field, largest)| {
            let mut parts = field.split([',', '-', '/']);
            parts.all(|part| match part.parse::<u32>() {
                Ok(number) => number <= *largest,
                Err(_) => {
                    part == "*" || part.len() == 3 && part.bytes().all(|c| c.is_ascii_alphabetic())
                }
            })
        })
}
