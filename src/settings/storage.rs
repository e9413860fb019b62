//! Where state lives: `STATE`, and the forms of `AzureWebJobsStorage` (`functions-host.md` 5.3).

use std::path::PathBuf;

use url::Url;

use super::{
    Secret,
    value::{Fault, Parsed, fault, is_unresolved_reference, secure_url, unquoted},
};

/// Where runs, journal, mapping and lock are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// Lost when the process ends; for tests.
    Memory,
    Folder(PathBuf),
    Container {
        container: String,
        account: StorageAccount,
    },
}

/// A storage account and the way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageAccount {
    /// `UseDevelopmentStorage=true`: Azurite with its published account and key.
    Emulator,
    Key {
        account: String,
        key: Secret,
        /// Without a trailing slash, with the account's path where the address has one.
        blob_endpoint: Url,
    },
    Sas {
        /// `None` where the connection string names only an endpoint.
        account: Option<String>,
        /// Without a leading `?`.
        sas: Secret,
        blob_endpoint: Url,
    },
    Identity {
        account: Option<String>,
        blob_endpoint: Url,
        /// A user-assigned identity; `None` is the system-assigned one.
        client_id: Option<String>,
    },
}

/// The container when `STATE` names none.
const CONTAINER: &str = "cloud-sync";
/// The folder when there is no storage account either, in the working directory.
const FOLDER: &str = ".cloud-sync";

/// A fault and the variable that it is about.
pub(super) type StorageFault = (String, Fault);

/// Follows `STATE`; without it the container `cloud-sync` of the app's own storage account, else a local folder.
pub(super) fn location(
    state: Option<&str>,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<StateLocation, StorageFault> {
    let state_fault = |fault| ("CLOUD_SYNC__STATE".to_owned(), fault);
    let Some(state) = state.map(unquoted).filter(|text| !text.is_empty()) else {
        return Ok(match account(lookup)? {
            Some(account) => StateLocation::Container {
                container: CONTAINER.to_owned(),
                account,
            },
            None => StateLocation::Folder(PathBuf::from(FOLDER)),
        });
    };
    if let Some(container) = state.strip_prefix("az://") {
        let container = container_name(container).map_err(state_fault)?;
        let account = account(lookup)?.ok_or_else(|| {
            state_fault(fault(
                "names a container, but there is no storage account",
                "set AzureWebJobsStorage, or AzureWebJobsStorage__accountName for an identity",
            ))
        })?;
        return Ok(StateLocation::Container { container, account });
    }
    elsewhere(state).map_err(state_fault)
}

fn elsewhere(state: &str) -> Parsed<StateLocation> {
    if state.eq_ignore_ascii_case("memory:") {
        return Ok(StateLocation::Memory);
    }
    let folder = Url::parse(state)
        .ok()
        .filter(|url| url.scheme() == "file" && state.starts_with("file:///"))
        .and_then(|url| url.to_file_path().ok());
    folder.map(StateLocation::Folder).ok_or_else(|| {
        fault(
            "is not understood",
            "write `az://container`, `file:///absolute/path` or `memory:`",
        )
    })
}

/// 3 to 63 lower-case letters, digits and single inner hyphens: Azure's rule for containers.
fn container_name(text: &str) -> Parsed<String> {
    let name = text.trim_end_matches('/');
    let valid = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if valid {
        Ok(name.to_owned())
    } else {
        Err(fault(
            "holds no valid container name",
            "write `az://` and 3 to 63 lower-case letters, digits or single hyphens",
        ))
    }
}

/// `AzureWebJobsStorage` as a connection string, or as `AzureWebJobsStorage__…` for an identity; `None` without either.
fn account(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Option<StorageAccount>, StorageFault> {
    let get = |suffix: &str| {
        let name = format!("AzureWebJobsStorage{suffix}");
        let text = lookup(&name).map(|text| unquoted(&text).to_owned());
        match text.filter(|text| !text.is_empty()) {
            Some(text) if is_unresolved_reference(&text) => {
                Err((name, super::reader::unresolved_reference()))
            }
            text => Ok(text),
        }
    };
    if let Some(text) = get("")? {
        return connection_string(&text)
            .map(Some)
            .map_err(|fault| ("AzureWebJobsStorage".to_owned(), fault));
    }
    let account_name = get("__accountName")?;
    let endpoint_name = "AzureWebJobsStorage__blobServiceUri".to_owned();
    let blob_endpoint = match (get("__blobServiceUri")?, &account_name) {
        (Some(uri), _) => endpoint(&uri).map_err(|fault| (endpoint_name, fault))?,
        (None, Some(account)) => account_endpoint("https", account, "core.windows.net")
            .map_err(|fault| ("AzureWebJobsStorage__accountName".to_owned(), fault))?,
        (None, None) => return Ok(None),
    };
    if let Some(credential) = get("__credential")?
        && !credential.eq_ignore_ascii_case("managedidentity")
    {
        return Err((
            "AzureWebJobsStorage__credential".to_owned(),
            fault(
                "is not an identity that this program knows",
                "write `managedidentity`, or remove it",
            ),
        ));
    }
    Ok(Some(StorageAccount::Identity {
        account: account_name,
        blob_endpoint,
        client_id: get("__clientId")?,
    }))
}

/// `Name=value;…`: names in any case, a value may hold `=`. Nothing of it is ever repeated in a fault.
fn connection_string(text: &str) -> Parsed<StorageAccount> {
    let parts: Vec<(&str, &str)> = text
        .split(';')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let get = |wanted: &str| {
        parts
            .iter()
            .find(|(name, value)| name.eq_ignore_ascii_case(wanted) && !value.is_empty())
            .map(|(_, value)| *value)
    };
    if get("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(StorageAccount::Emulator);
    }
    let account = get("AccountName");
    let blob_endpoint = match (get("BlobEndpoint"), account) {
        (Some(uri), _) => endpoint(uri)?,
        (None, Some(account)) => account_endpoint(
            get("DefaultEndpointsProtocol").unwrap_or("https"),
            account,
            get("EndpointSuffix").unwrap_or("core.windows.net"),
        )?,
        (None, None) => {
            return Err(unusable("names neither AccountName nor BlobEndpoint"));
        }
    };
    match (get("AccountKey"), get("SharedAccessSignature"), account) {
        (Some(key), _, Some(account)) => Ok(StorageAccount::Key {
            account: account.to_owned(),
            key: Secret::new(key.to_owned()),
            blob_endpoint,
        }),
        (Some(_), _, None) => Err(unusable("has an AccountKey but no AccountName")),
        (None, Some(sas), _) => Ok(StorageAccount::Sas {
            account: account.map(str::to_owned),
            sas: Secret::new(sas.trim_start_matches('?').to_owned()),
            blob_endpoint,
        }),
        (None, None, _) => Err(unusable("has neither AccountKey nor SharedAccessSignature")),
    }
}

fn unusable(wrong: &str) -> Fault {
    fault(
        format!("is no usable connection string: it {wrong}"),
        "copy the whole connection string again, or use AzureWebJobsStorage__accountName with an identity",
    )
}

fn account_endpoint(protocol: &str, account: &str, suffix: &str) -> Parsed<Url> {
    let named = (3..=24).contains(&account.len())
        && account
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !named {
        return Err(fault(
            "holds no valid storage account name",
            "use 3 to 24 lower-case letters and digits, without a domain",
        ));
    }
    endpoint(&format!("{protocol}://{account}.blob.{suffix}"))
}

fn endpoint(uri: &str) -> Parsed<Url> {
    let mut url = secure_url(uri)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<StateLocation, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let state = lookup("CLOUD_SYNC__STATE");
        location(state.as_deref(), &lookup)
            .map_err(|(name, fault)| format!("{name} {}", fault.wrong))
    }

    fn in_account(account: StorageAccount) -> StateLocation {
        StateLocation::Container {
            container: "cloud-sync".to_owned(),
            account,
        }
    }

    #[test]
    fn state_names_a_container_a_folder_or_memory() {
        let emulator = ("AzureWebJobsStorage", "UseDevelopmentStorage=true");
        assert_eq!(read(&[]), Ok(StateLocation::Folder(".cloud-sync".into())));
        assert_eq!(read(&[emulator]), Ok(in_account(StorageAccount::Emulator)));
        for (state, expected) in [
            ("memory:", StateLocation::Memory),
            (
                "file:///var/state",
                StateLocation::Folder("/var/state".into()),
            ),
            ("file:///a%20b", StateLocation::Folder("/a b".into())),
            (
                "az://other-one/",
                StateLocation::Container {
                    container: "other-one".to_owned(),
                    account: StorageAccount::Emulator,
                },
            ),
        ] {
            assert_eq!(
                read(&[emulator, ("CLOUD_SYNC__STATE", state)]),
                Ok(expected)
            );
        }
        for state in [
            "file://relative",
            "file:relative",
            "/plain",
            "s3://x",
            "az://",
            "az://A",
            "az://a--b",
        ] {
            let told = read(&[emulator, ("CLOUD_SYNC__STATE", state)]);
            assert!(told.is_err(), "{state}: {told:?}");
        }
    }

    #[test]
    fn a_container_needs_an_account_and_a_folder_does_not() {
        assert_eq!(
            read(&[("CLOUD_SYNC__STATE", "az://runs")]).unwrap_err(),
            "CLOUD_SYNC__STATE names a container, but there is no storage account"
        );
        let broken = ("AzureWebJobsStorage", "nonsense");
        assert!(read(&[broken, ("CLOUD_SYNC__STATE", "memory:")]).is_ok());
        assert!(read(&[broken]).is_err());
    }

    #[test]
    fn connection_strings_are_read_in_every_form() {
        let url = |text: &str| Url::parse(text).unwrap();
        let key = |blob_endpoint: &str| StorageAccount::Key {
            account: "corpstate".to_owned(),
            key: Secret::new("a2V5PT0=".to_owned()),
            blob_endpoint: url(blob_endpoint),
        };
        for (text, expected) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=corpstate;AccountKey=a2V5PT0=;EndpointSuffix=core.windows.net",
                key("https://corpstate.blob.core.windows.net"),
            ),
            (
                "accountname=corpstate; accountkey=a2V5PT0=; endpointsuffix=core.chinacloudapi.cn;",
                key("https://corpstate.blob.core.chinacloudapi.cn"),
            ),
            (
                "DefaultEndpointsProtocol=http;AccountName=corpstate;AccountKey=a2V5PT0=;BlobEndpoint=http://127.0.0.1:10000/corpstate/;",
                key("http://127.0.0.1:10000/corpstate"),
            ),
            (
                "BlobEndpoint=https://corpstate.blob.core.windows.net/;SharedAccessSignature=?sv=2024&sig=a%3D",
                StorageAccount::Sas {
                    account: None,
                    sas: Secret::new("sv=2024&sig=a%3D".to_owned()),
                    blob_endpoint: url("https://corpstate.blob.core.windows.net"),
                },
            ),
            ("usedevelopmentstorage=True", StorageAccount::Emulator),
        ] {
            assert_eq!(
                read(&[("AzureWebJobsStorage", text)]),
                Ok(in_account(expected)),
                "{text}"
            );
        }
        for text in [
            "nonsense",
            "AccountName=corpstate",
            "AccountKey=a2V5",
            "AccountName=Corp.State;AccountKey=a2V5",
            "DefaultEndpointsProtocol=http;AccountName=corpstate;AccountKey=a2V5",
            "@Microsoft.KeyVault(SecretUri=https://v.example/secrets/s)",
        ] {
            let told = read(&[("AzureWebJobsStorage", text)]).unwrap_err();
            assert!(
                told.starts_with("AzureWebJobsStorage ") && !told.contains("a2V5"),
                "{told}"
            );
        }
    }

    #[test]
    fn an_identity_needs_an_account_or_an_endpoint() {
        let identity = |account: Option<&str>, client_id: Option<&str>| {
            Ok(in_account(StorageAccount::Identity {
                account: account.map(str::to_owned),
                blob_endpoint: Url::parse("https://corpstate.blob.core.windows.net").unwrap(),
                client_id: client_id.map(str::to_owned),
            }))
        };
        let account = ("AzureWebJobsStorage__accountName", "corpstate");
        let credential = ("AzureWebJobsStorage__credential", "managedidentity");
        let uri = (
            "AzureWebJobsStorage__blobServiceUri",
            "https://corpstate.blob.core.windows.net/",
        );
        let client = ("AzureWebJobsStorage__clientId", "c-1");
        assert_eq!(read(&[account]), identity(Some("corpstate"), None));
        assert_eq!(
            read(&[account, credential]),
            identity(Some("corpstate"), None)
        );
        assert_eq!(
            read(&[uri, credential, client]),
            identity(None, Some("c-1"))
        );
        let odd = ("AzureWebJobsStorage__credential", "azurecli");
        assert!(read(&[account, odd]).is_err());
        let plain = (
            "AzureWebJobsStorage__blobServiceUri",
            "http://corpstate.example",
        );
        assert!(read(&[plain]).is_err());
    }
}
