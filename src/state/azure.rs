//! The storage account in `AzureWebJobsStorage`, in every form that the Functions host accepts, as an object store.

mod connector;
mod container;

use std::{collections::BTreeMap, fmt, sync::Arc};

use connector::Connector;
use container::Container;
use object_store::{
    ObjectStore, RetryConfig,
    azure::{MicrosoftAzureBuilder, split_sas},
    client::HttpClient,
};
use url::{Position, Url};

use super::error::{EMULATOR, StateError};
use crate::http::is_loopback;

const SETTING: &str = "AzureWebJobsStorage";

/// The account and key of every Azurite, published by Microsoft:
/// <https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key>.
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_BLOBS_PORT: u16 = 10_000;

/// A storage account and the credential for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    name: String,
    blobs: Url,
    proof: Proof,
}

#[derive(Clone, PartialEq)]
enum Proof {
    Key(String),
    Sas(Vec<(String, String)>),
    /// `endpoint` is App Service's `IDENTITY_ENDPOINT`. The store itself reads `IDENTITY_HEADER` from the environment,
    /// and uses the metadata service of a virtual machine (IMDS) if there is no endpoint.
    ManagedIdentity {
        client_id: Option<String>,
        endpoint: Option<String>,
    },
    ClientSecret {
        tenant_id: String,
        client_id: String,
        secret: String,
    },
    /// The account that a developer signed in with `az login`.
    AzureCli,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Sas(_) => "Sas(…)",
            Self::ManagedIdentity { .. } => "ManagedIdentity",
            Self::ClientSecret { .. } => "ClientSecret(…)",
            Self::AzureCli => "AzureCli",
        })
    }
}

fn wrong(setting: &str, problem: impl Into<String>) -> StateError {
    StateError::Setting {
        setting: setting.to_owned(),
        problem: problem.into(),
    }
}

impl Account {
    /// The account in messages.
    pub(super) fn shown(&self) -> String {
        if self.name == DEVELOPMENT_ACCOUNT && self.is_here() {
            let authority = &self.blobs[Position::BeforeHost..Position::AfterPort];
            return format!("{EMULATOR}{authority} ({SETTING})");
        }
        format!("storage account {}", self.name)
    }

    /// Whether it is on this machine, as Azurite is.
    pub(super) fn is_here(&self) -> bool {
        is_loopback(&self.blobs)
    }

    /// The account in `AzureWebJobsStorage`, or in the settings that start with this name; `None` if there are none.
    pub(super) fn from_settings(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, StateError> {
        let setting = |name: &str| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        if let Some(text) = setting(SETTING) {
            return Self::from_connection_string(&text).map(Some);
        }
        let part = |name: &str| setting(&format!("{SETTING}__{name}"));
        let blobs = match (
            part("blobServiceUri").or_else(|| part("serviceUri")),
            part("accountName"),
        ) {
            (Some(uri), _) => endpoint(&format!("{SETTING}__blobServiceUri"), &uri)?,
            (None, Some(name)) => endpoint(
                &format!("{SETTING}__accountName"),
                &format!("https://{name}.blob.core.windows.net"),
            )?,
            (None, None) => return Ok(None),
        };
        let name = part("accountName").unwrap_or_else(|| name_in(&blobs));
        let client_id = part("clientId");
        let identity_endpoint = setting("IDENTITY_ENDPOINT");
        let managed =
            part("credential").is_some_and(|kind| kind.eq_ignore_ascii_case("managedidentity"));
        let proof = match (part("tenantId"), client_id, part("clientSecret")) {
            (Some(tenant_id), Some(client_id), Some(secret)) if !managed => Proof::ClientSecret {
                tenant_id,
                client_id,
                secret,
            },
            (_, client_id, _) if managed || identity_endpoint.is_some() => Proof::ManagedIdentity {
                client_id,
                endpoint: identity_endpoint,
            },
            _ => Proof::AzureCli,
        };
        Ok(Some(Self { name, blobs, proof }))
    }

    /// <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>
    fn from_connection_string(text: &str) -> Result<Self, StateError> {
        if text
            .get(..20)
            .is_some_and(|start| start.eq_ignore_ascii_case("@Microsoft.KeyVault("))
        {
            return Err(wrong(
                SETTING,
                "the platform could not resolve this Key Vault reference; check the identity's access to the vault",
            ));
        }
        let parts = parts(text)?;
        let part = |name: &str| parts.get(&name.to_ascii_lowercase()).map(String::as_str);
        if part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let host = part("DevelopmentStorageProxyUri")
                .unwrap_or("http://127.0.0.1")
                .trim_end_matches('/');
            let blobs = endpoint(
                SETTING,
                &format!("{host}:{DEVELOPMENT_BLOBS_PORT}/{DEVELOPMENT_ACCOUNT}"),
            )?;
            return Ok(Self {
                name: DEVELOPMENT_ACCOUNT.into(),
                blobs,
                proof: Proof::Key(DEVELOPMENT_KEY.into()),
            });
        }
        let blobs = match (part("BlobEndpoint"), part("AccountName")) {
            (Some(uri), _) => endpoint(SETTING, uri)?,
            (None, Some(name)) => {
                let scheme = part("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = part("EndpointSuffix").unwrap_or("core.windows.net");
                endpoint(SETTING, &format!("{scheme}://{name}.blob.{suffix}"))?
            }
            (None, None) => {
                return Err(wrong(
                    SETTING,
                    "AccountName or BlobEndpoint is missing; copy the whole connection string again",
                ));
            }
        };
        let proof = match (part("AccountKey"), part("SharedAccessSignature")) {
            (Some(key), _) => Proof::Key(key.to_owned()),
            (None, Some(sas)) => {
                Proof::Sas(split_sas(sas).map_err(|_| {
                    wrong(SETTING, "SharedAccessSignature is cut off; copy it again")
                })?)
            }
            (None, None) => {
                return Err(wrong(
                    SETTING,
                    "AccountKey or SharedAccessSignature is missing; copy the whole connection string again",
                ));
            }
        };
        let name = part("AccountName").map_or_else(|| name_in(&blobs), str::to_owned);
        Ok(Self { name, blobs, proof })
    }

    /// A container of this account, which is created when it is missing.
    pub(super) fn open(&self, container: &str) -> Result<Arc<dyn ObjectStore>, StateError> {
        // Repeating is left to `Outage`: the store would not repeat a conditional write.
        let retry = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        let connector = Connector::new()?;
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&self.name)
            .with_endpoint(self.blobs.as_str().trim_end_matches('/').to_owned())
            .with_container_name(container)
            .with_http_connector(connector.clone())
            .with_allow_http(true) // only for this machine: `endpoint` refuses http elsewhere
            .with_retry(retry);
        let builder = match &self.proof {
            Proof::Key(key) => builder.with_access_key(key),
            Proof::Sas(pairs) => builder.with_sas_authorization(pairs.clone()),
            Proof::ManagedIdentity {
                client_id,
                endpoint,
            } => {
                let builder = builder.with_credential_type("managed_identity");
                let builder = client_id
                    .iter()
                    .fold(builder, MicrosoftAzureBuilder::with_client_id);
                endpoint.iter().fold(builder, |builder, endpoint| {
                    builder.with_msi_endpoint(endpoint)
                })
            }
            Proof::ClientSecret {
                tenant_id,
                client_id,
                secret,
            } => builder.with_client_secret_authorization(client_id, secret, tenant_id),
            Proof::AzureCli => builder.with_use_azure_cli(true),
        };
        // All other parts were parsed before, so only the key can be invalid.
        let store = builder.build().map_err(|_| {
            wrong(
                SETTING,
                "AccountKey is not base64; copy the whole connection string again",
            )
        })?;
        let mut url = self.blobs.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(container);
        }
        Ok(Arc::new(Container {
            store,
            http: HttpClient::new(connector),
            account: self.name.clone(),
            url,
        }))
    }
}

/// `Name=value` pairs separated by semicolons; names in lower case. A value may contain `=`.
fn parts(text: &str) -> Result<BTreeMap<String, String>, StateError> {
    let pairs = text
        .split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    let parts: Option<_> = pairs.collect();
    parts.ok_or_else(|| wrong(SETTING, "it is not a connection string (Name=value;…); copy it again, or write UseDevelopmentStorage=true"))
}

const IN_CLEAR: &str = "http would send names, addresses and tokens in clear; use https (http serves on this machine only)";

fn endpoint(setting: &str, text: &str) -> Result<Url, StateError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
    let url = url.ok_or_else(|| {
        wrong(
            setting,
            "it names no https address of a blob service; copy it again",
        )
    })?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(wrong(setting, IN_CLEAR));
    }
    Ok(url)
}

/// `stexample` in `https://stexample.blob.core.windows.net`, `devstoreaccount1` in
/// `http://127.0.0.1:10000/devstoreaccount1`.
fn name_in(blobs: &Url) -> String {
    let in_path = blobs
        .path_segments()
        .and_then(|mut segments| segments.next())
        .filter(|segment| !segment.is_empty());
    let in_host = blobs.host_str().and_then(|host| host.split('.').next());
    in_path.or(in_host).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0LWtleQ==";

    fn account(settings: &[(&str, &str)]) -> Result<Option<Account>, String> {
        let lookup = |name: &str| {
            settings
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Account::from_settings(lookup).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(settings: &[(&str, &str)], name: &str, blobs: &str, proof: &Proof) {
        let account = account(settings).unwrap().unwrap();
        assert_eq!(
            (
                account.name.as_str(),
                account.blobs.as_str(),
                &account.proof
            ),
            (name, blobs, proof)
        );
        // The store must accept it too.
        account.open("cloud-sync").unwrap();
    }

    #[test]
    fn connection_strings_in_all_forms() {
        let key = || Proof::Key(KEY.into());
        let sas = || {
            Proof::Sas(vec![
                ("sv".into(), "2023-11-03".into()),
                ("sig".into(), "a+b=".into()),
            ])
        };
        let development = || Proof::Key(DEVELOPMENT_KEY.into());
        for (text, name, blobs, proof) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=stexample;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=core.windows.net",
                "stexample",
                "https://stexample.blob.core.windows.net/",
                key(),
            ),
            (
                "accountname=stexample; accountkey=c2VjcmV0LWtleQ==;",
                "stexample",
                "https://stexample.blob.core.windows.net/",
                key(),
            ),
            (
                "AccountName=stexample;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=core.chinacloudapi.cn",
                "stexample",
                "https://stexample.blob.core.chinacloudapi.cn/",
                key(),
            ),
            (
                "AccountName=devstoreaccount1;AccountKey=c2VjcmV0LWtleQ==;BlobEndpoint=http://127.0.0.1:11000/devstoreaccount1",
                "devstoreaccount1",
                "http://127.0.0.1:11000/devstoreaccount1",
                key(),
            ),
            (
                "BlobEndpoint=https://stexample.blob.core.windows.net/;SharedAccessSignature=?sv=2023-11-03&sig=a%2Bb%3D",
                "stexample",
                "https://stexample.blob.core.windows.net/",
                sas(),
            ),
            (
                "UseDevelopmentStorage=true",
                "devstoreaccount1",
                "http://127.0.0.1:10000/devstoreaccount1",
                development(),
            ),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://localhost",
                "devstoreaccount1",
                "http://localhost:10000/devstoreaccount1",
                development(),
            ),
        ] {
            check(&[("AzureWebJobsStorage", text)], name, blobs, &proof);
        }
    }

    #[test]
    fn identities_in_all_forms() {
        let name = ("AzureWebJobsStorage__accountName", "stexample");
        let blobs = "https://stexample.blob.core.windows.net/";
        let client = ("AzureWebJobsStorage__clientId", "id");
        let app_service = ("IDENTITY_ENDPOINT", "http://127.0.0.1:8081/msi/token");
        let managed = ("AzureWebJobsStorage__credential", "managedidentity");
        let identity = |client_id: Option<&str>, endpoint: Option<&str>| Proof::ManagedIdentity {
            client_id: client_id.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
        };
        check(
            &[name, app_service],
            "stexample",
            blobs,
            &identity(None, Some(app_service.1)),
        );
        check(
            &[name, app_service, client],
            "stexample",
            blobs,
            &identity(Some("id"), Some(app_service.1)),
        );
        check(&[name, managed], "stexample", blobs, &identity(None, None));
        check(&[name], "stexample", blobs, &Proof::AzureCli);
        let secret = [
            ("AzureWebJobsStorage__tenantId", "tenant"),
            ("AzureWebJobsStorage__clientSecret", "secret"),
        ];
        let proof = Proof::ClientSecret {
            tenant_id: "tenant".into(),
            client_id: "id".into(),
            secret: "secret".into(),
        };
        check(
            &[name, client, secret[0], secret[1]],
            "stexample",
            blobs,
            &proof,
        );
        let uri = (
            "AzureWebJobsStorage__blobServiceUri",
            "https://stother.blob.core.chinacloudapi.cn",
        );
        check(
            &[uri, app_service],
            "stother",
            "https://stother.blob.core.chinacloudapi.cn/",
            &identity(None, Some(app_service.1)),
        );
        assert_eq!(
            account(&[("AzureWebJobsStorage", " "), app_service]),
            Ok(None)
        );
    }

    #[test]
    fn a_broken_connection_string_says_what_to_do_and_not_its_key() {
        for (text, problem) in [
            (
                "stexample",
                "it is not a connection string (Name=value;…); copy it again, or write UseDevelopmentStorage=true",
            ),
            (
                "AccountName=stexample",
                "AccountKey or SharedAccessSignature is missing; copy the whole connection string again",
            ),
            (
                "AccountKey=c2VjcmV0LWtleQ==",
                "AccountName or BlobEndpoint is missing; copy the whole connection string again",
            ),
            (
                "AccountKey=c2VjcmV0LWtleQ==;BlobEndpoint=ftp://h",
                "it names no https address of a blob service; copy it again",
            ),
            (
                "AccountName=stexample;AccountKey=c2VjcmV0;DefaultEndpointsProtocol=http",
                IN_CLEAR,
            ),
            (
                "AccountKey=c2VjcmV0;BlobEndpoint=http://azurite.example:10000/devstoreaccount1",
                IN_CLEAR,
            ),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite.example",
                IN_CLEAR,
            ),
            (
                "SharedAccessSignature=sv;BlobEndpoint=https://h",
                "SharedAccessSignature is cut off; copy it again",
            ),
            (
                "@microsoft.keyvault(SecretUri=https://vault.example/secrets/storage)",
                "the platform could not resolve this Key Vault reference; check the identity's access to the vault",
            ),
        ] {
            assert_eq!(
                account(&[("AzureWebJobsStorage", text)]),
                Err(format!("AzureWebJobsStorage: {problem}"))
            );
        }
        let uri = (
            "AzureWebJobsStorage__blobServiceUri",
            "http://stexample.blob.example",
        );
        assert_eq!(
            account(&[uri]),
            Err(format!("AzureWebJobsStorage__blobServiceUri: {IN_CLEAR}"))
        );
        let account = account(&[("AzureWebJobsStorage", "AccountName=stexample;AccountKey=~~")])
            .unwrap()
            .unwrap();
        let error = account.open("cloud-sync").unwrap_err().to_string();
        assert_eq!(
            error,
            "AzureWebJobsStorage: AccountKey is not base64; copy the whole connection string again"
        );
        assert!(!format!("{account:?}").contains("~~"), "{account:?}");
    }
}
