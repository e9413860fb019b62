//! The place of the state: the setting STATE, and `AzureWebJobsStorage` if STATE is not set.

use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;
use url::Url;

use super::{azure::Account, error::StateError};

const SETTING: &str = "CLOUD_SYNC__STATE";
const CONTAINER: &str = "cloud-sync";
const FOLDER: &str = ".cloud-sync";
const FORMS: &str = "write az://container, file:///path or memory:";

/// A place for the state.
#[derive(Debug, Clone, PartialEq)]
pub enum StateLocation {
    /// A blob container of the storage account in `AzureWebJobsStorage`, or a folder in it.
    Azure {
        account: Box<Account>,
        container: String,
        folder: Path,
    },
    /// A folder of this machine, which other machines do not see (R29).
    Folder(PathBuf),
    /// Lost when the process ends.
    Memory,
}

impl StateLocation {
    /// Reads the setting STATE (`None`: not set) and `AzureWebJobsStorage`, in all forms that the Functions host
    /// accepts.
    pub fn from_settings(
        state: Option<&str>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, StateError> {
        let state = state.map(str::trim).filter(|state| !state.is_empty());
        let Some(state) = state else {
            return Ok(match Account::from_settings(lookup)? {
                Some(account) => Self::Azure {
                    account: Box::new(account),
                    container: CONTAINER.into(),
                    folder: Path::default(),
                },
                None => Self::Folder(FOLDER.into()),
            });
        };
        if state == "memory:" {
            return Ok(Self::Memory);
        }
        let wrong = |problem: String| StateError::Setting {
            setting: SETTING.into(),
            problem,
        };
        let url = Url::parse(state)
            .map_err(|error| wrong(format!("{state:?} is not a URL ({error}); {FORMS}")))?;
        match url.scheme() {
            "file" => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| wrong(format!("{state:?} is not an absolute path; {FORMS}"))),
            "az" => {
                let container = container(url.host_str().unwrap_or_default()).map_err(wrong)?;
                let folder = Path::from_url_path(url.path()).map_err(|_| {
                    wrong(format!(
                        "{state:?} names no usable folder in the container; {FORMS}"
                    ))
                })?;
                let account = Account::from_settings(lookup)?.ok_or_else(|| {
                    wrong(format!(
                        "{state:?} needs the storage account in AzureWebJobsStorage; set that too"
                    ))
                })?;
                Ok(Self::Azure {
                    account: Box::new(account),
                    container,
                    folder,
                })
            }
            scheme => Err(wrong(format!("{scheme:?} is not a kind of state; {FORMS}"))),
        }
    }

    /// Whether only this machine sees the state. Then its lock does not exclude a function app (R29).
    pub fn is_local(&self) -> bool {
        match self {
            Self::Azure { .. } => false,
            Self::Folder(_) | Self::Memory => true,
        }
    }

    /// The name in messages: `container cloud-sync of storage account stexample`, `folder /var/state`, `memory`.
    pub fn place(&self) -> String {
        match self {
            Self::Azure {
                account,
                container,
                folder,
            } if folder.as_ref().is_empty() => {
                format!("container {container} of {}", account.shown())
            }
            Self::Azure {
                account,
                container,
                folder,
            } => {
                format!(
                    "folder {folder} of container {container} of {}",
                    account.shown()
                )
            }
            Self::Folder(path) => {
                let path =
                    std::path::absolute(path).unwrap_or_else(|_| FilePath::to_path_buf(path));
                format!("folder {}", path.display())
            }
            Self::Memory => "memory".into(),
        }
    }
}

/// The rules for container names:
/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>.
fn container(name: &str) -> Result<String, String> {
    let usable = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if usable {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{name:?} is not a name for a container: 3 to 63 lower-case letters, digits and single hyphens; {FORMS}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(state: Option<&str>, storage: Option<&str>) -> Result<StateLocation, String> {
        let lookup = |name: &str| {
            storage
                .filter(|_| name == "AzureWebJobsStorage")
                .map(str::to_owned)
        };
        StateLocation::from_settings(state, lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn silence_means_the_storage_account_or_a_folder_here() {
        assert_eq!(
            located(None, None),
            Ok(StateLocation::Folder(".cloud-sync".into()))
        );
        assert_eq!(
            located(Some(" "), Some("")),
            Ok(StateLocation::Folder(".cloud-sync".into()))
        );
        let location = located(None, Some("UseDevelopmentStorage=true")).unwrap();
        assert_eq!(
            location.place(),
            "container cloud-sync of storage account devstoreaccount1 of Azurite at 127.0.0.1:10000 (AzureWebJobsStorage)"
        );
        assert!(!location.is_local());
    }

    #[test]
    fn a_setting_wins() {
        assert_eq!(
            located(Some("memory:"), Some("UseDevelopmentStorage=true")),
            Ok(StateLocation::Memory)
        );
        assert_eq!(
            located(Some("file:///var/lib/state%20of%20sync"), None),
            Ok(StateLocation::Folder("/var/lib/state of sync".into()))
        );
        let location = located(
            Some("az://other/below/here"),
            Some("UseDevelopmentStorage=true"),
        )
        .unwrap();
        assert_eq!(
            location.place(),
            "folder below/here of container other of storage account devstoreaccount1 of Azurite at 127.0.0.1:10000 (AzureWebJobsStorage)"
        );
    }

    #[test]
    fn a_wrong_setting_says_what_to_write() {
        for (state, problem) in [
            (
                "state",
                "\"state\" is not a URL (relative URL without a base); write az://container, file:///path or memory:",
            ),
            (
                "s3://bucket",
                "\"s3\" is not a kind of state; write az://container, file:///path or memory:",
            ),
            (
                "az://other",
                "\"az://other\" needs the storage account in AzureWebJobsStorage; set that too",
            ),
            (
                "file://host/path",
                "\"file://host/path\" is not an absolute path; write az://container, file:///path or memory:",
            ),
            (
                "az://a_b",
                "\"a_b\" is not a name for a container: 3 to 63 lower-case letters, digits and single hyphens; write az://container, \
                 file:///path or memory:",
            ),
        ] {
            assert_eq!(
                located(Some(state), None),
                Err(format!("CLOUD_SYNC__STATE: {problem}"))
            );
        }
    }
}
