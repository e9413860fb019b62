//! Cmdlets over `InvokeCommand`: groups, their members, and recipients by name (`docs/specs/exchange-online.md`, "1.3
//! `InvokeCommand`" and "6.4 Groups").

use std::{fmt::Debug, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ExchangeError,
    call::{Call, Service},
    pages::{NoRows, Reader, Rows},
    wire::RecipientRow,
};
use domain::source::{
    Answer, DirectoryAnswer, GroupKind, MembersAnswer, Question, RecipientAnswer, RecipientRecord,
};

/// The service allows a cmdlet up to 15 minutes; the cmdlets used here take seconds.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

const GROUP_PROPERTIES: &str = "Name,Identity,DisplayName,Alias,PrimarySmtpAddress,RecipientTypeDetails,ExternalDirectoryObjectId,Guid";

/// All addresses are needed: a trustee that is not a mailbox can have an account with any of them (R12).
const RECIPIENT_PROPERTIES: &str = "Name,Identity,DisplayName,Alias,PrimarySmtpAddress,EmailAddresses,RecipientTypeDetails,ExternalDirectoryObjectId,Guid";

type Read<T> = Result<T, Vec<String>>;

/// A cmdlet with its parameters and the properties wanted.
#[derive(Clone, Copy)]
struct Command<'a> {
    name: &'static str,
    identity: Option<&'a str>,
    link_type: Option<&'static str>,
    properties: &'static str,
    no_rows: NoRows,
}

impl<'a> Command<'a> {
    /// A group itself, which names its members.
    fn group(identity: &'a str) -> Self {
        Self {
            name: "Get-Group",
            identity: Some(identity),
            link_type: None,
            properties: "Name,Members",
            no_rows: NoRows::Unexpected,
        }
    }
}

/// A second query that confirms an empty result.
struct Confirmation<'a> {
    command: Command<'a>,
    convert: fn(RecipientRow) -> Read<GroupCheck>,
    confirms: fn(&[GroupCheck]) -> bool,
}

/// The result of a query for one group.
#[derive(Debug)]
struct GroupCheck {
    /// The identity of the group, to compare it with other groups.
    id: Option<String>,
    fits_empty_answer: bool,
}

impl<'a> Confirmation<'a> {
    /// `Get-Group` says itself whether the group has no members.
    fn group(identity: &'a str) -> Self {
        Self {
            command: Command::group(identity),
            convert: |row| {
                Ok(GroupCheck {
                    id: None,
                    fits_empty_answer: row.has_no_members(),
                })
            },
            confirms: |groups| {
                matches!(
                    groups,
                    [GroupCheck {
                        fits_empty_answer: true,
                        ..
                    }]
                )
            },
        }
    }

    /// Lists all groups. The directory is empty if none of them is of a kind that it contains.
    fn all_groups() -> Self {
        Self {
            command: Command {
                name: "Get-Group",
                identity: None,
                link_type: None,
                properties: "Name,RecipientTypeDetails,ExternalDirectoryObjectId,Guid",
                no_rows: NoRows::Envelope,
            },
            convert: |row| {
                let fits_empty_answer = row.is_never_distributed();
                let record = row.into_record();
                let id = RecipientRow::key(&record);
                record.map(|_| GroupCheck {
                    id,
                    fits_empty_answer,
                })
            },
            confirms: |groups| groups.iter().all(|group| group.fits_empty_answer),
        }
    }
}

impl Service {
    /// The answer to `question`. A failure that must stop the run is the error; all other failures are in the answer
    /// (R11).
    pub(super) async fn answer(&self, question: &Question) -> Result<Answer, ExchangeError> {
        let answer = match question {
            Question::GroupDirectory => Answer::Directory(self.group_directory().await?),
            Question::Recipient(text) => Answer::Recipient(self.recipient(text).await?),
            Question::Members { identity, kind } => {
                Answer::Members(self.members(identity, *kind).await?)
            }
        };
        let failed = matches!(
            answer,
            Answer::Directory(DirectoryAnswer::Failed(_))
                | Answer::Recipient(RecipientAnswer::Failed(_))
                | Answer::Members(MembersAnswer::Failed(_))
        );
        if !failed {
            self.outages_in_a_row.store(0, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The reason of a failure that concerns one object only. Any other error is returned.
    fn object_failure(&self, error: ExchangeError) -> Result<String, ExchangeError> {
        let outages = if error.is_outage() {
            self.outages_in_a_row.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.outages_in_a_row.store(0, Ordering::Relaxed);
            0
        };
        if error.is_fatal() || outages >= self.config.failures_in_a_row_max {
            Err(error)
        } else {
            Ok(error.to_string())
        }
    }

    async fn group_directory(&self) -> Result<DirectoryAnswer, ExchangeError> {
        let command = Command {
            name: "Get-DistributionGroup",
            identity: None,
            link_type: None,
            properties: GROUP_PROPERTIES,
            no_rows: NoRows::Envelope,
        };
        Ok(
            match self.confirmed(&command, &Confirmation::all_groups()).await {
                Ok(groups) => DirectoryAnswer::Complete(groups),
                Err(error) => DirectoryAnswer::Failed(self.object_failure(error)?),
            },
        )
    }

    async fn recipient(&self, text: &str) -> Result<RecipientAnswer, ExchangeError> {
        // The service takes an empty identity as "all objects".
        if text.trim().is_empty() {
            let reason = "a recipient without a name cannot be looked up";
            return Ok(RecipientAnswer::Failed(reason.to_owned()));
        }
        let command = Command {
            name: "Get-Recipient",
            identity: Some(text),
            link_type: None,
            properties: RECIPIENT_PROPERTIES,
            no_rows: NoRows::Envelope,
        };
        Ok(match self.recipients(&command).await {
            Ok(Rows { mut rows, .. }) => match (rows.pop(), rows.is_empty()) {
                (None, _) => RecipientAnswer::NotFound,
                (Some(record), true) => RecipientAnswer::Found(record),
                (Some(_), false) => RecipientAnswer::Ambiguous,
            },
            Err(ExchangeError::NotFound(_)) => RecipientAnswer::NotFound,
            Err(ExchangeError::Ambiguous(_)) => RecipientAnswer::Ambiguous,
            Err(error) => RecipientAnswer::Failed(self.object_failure(error)?),
        })
    }

    async fn members(
        &self,
        identity: &str,
        kind: GroupKind,
    ) -> Result<MembersAnswer, ExchangeError> {
        if identity.trim().is_empty() {
            let reason = "a group without an identity cannot be read";
            return Ok(MembersAnswer::Failed(reason.to_owned()));
        }
        let (name, link_type) = match kind {
            GroupKind::Security | GroupKind::Distribution | GroupKind::NonUniversal => {
                ("Get-DistributionGroupMember", None)
            }
            GroupKind::Microsoft365 => ("Get-UnifiedGroupLinks", Some("Members")),
            GroupKind::Dynamic => ("Get-DynamicDistributionGroupMember", None),
            GroupKind::Role => ("Get-RoleGroupMember", None),
            GroupKind::PlainSecurity => ("Get-Group", None),
        };
        let command = Command {
            name,
            identity: Some(identity),
            link_type,
            properties: RECIPIENT_PROPERTIES,
            no_rows: NoRows::Envelope,
        };
        let read = match kind {
            GroupKind::PlainSecurity => self.named_members(&Command::group(identity)).await,
            GroupKind::Security | GroupKind::Distribution | GroupKind::NonUniversal => {
                self.confirmed(&command, &Confirmation::group(identity))
                    .await
            }
            GroupKind::Microsoft365 | GroupKind::Dynamic | GroupKind::Role => {
                self.recipients(&command).await.map(|members| members.rows)
            }
        };
        Ok(match read {
            Ok(records) => MembersAnswer::Complete(records),
            Err(ExchangeError::NotFound(_)) => {
                self.outages_in_a_row.store(0, Ordering::Relaxed);
                MembersAnswer::NotFound
            }
            Err(error) => MembersAnswer::Failed(self.object_failure(error)?),
        })
    }

    async fn recipients(
        &self,
        command: &Command<'_>,
    ) -> Result<Rows<RecipientRecord>, ExchangeError> {
        let reader = Reader {
            convert: RecipientRow::into_record,
            key: RecipientRow::key,
            no_rows: command.no_rows,
        };
        self.run(command, &reader).await
    }

    /// An empty answer can be a fault of the service. Before it may remove access or resolve a name, a second query
    /// must confirm it (R11).
    async fn confirm(
        &self,
        command: &Command<'_>,
        confirmation: &Confirmation<'_>,
    ) -> Result<(), ExchangeError> {
        let reader = Reader {
            convert: confirmation.convert,
            key: |groups| groups.as_ref().ok()?.id.clone(),
            no_rows: confirmation.command.no_rows,
        };
        let groups = self.run(&confirmation.command, &reader).await?.rows;
        if (confirmation.confirms)(&groups) {
            return Ok(());
        }
        let call = self.command(command).await?;
        let text = "an empty body, and Get-Group does not say that there is nothing";
        Err(ExchangeError::Protocol(call.failure(text)))
    }

    /// Recipients as [`Self::recipients`]. An empty result is confirmed by `confirmation`.
    async fn confirmed(
        &self,
        command: &Command<'_>,
        confirmation: &Confirmation<'_>,
    ) -> Result<Vec<RecipientRecord>, ExchangeError> {
        let command = Command {
            no_rows: NoRows::NoBody,
            ..*command
        };
        let read = self.recipients(&command).await?;
        if read.had_no_body {
            self.confirm(&command, confirmation).await?;
        }
        Ok(read.rows)
    }

    /// `Get-Group` returns one row, in which members have only names.
    async fn named_members(
        &self,
        command: &Command<'_>,
    ) -> Result<Vec<RecipientRecord>, ExchangeError> {
        let reader = Reader {
            convert: RecipientRow::into_member_names,
            key: |_| None,
            no_rows: command.no_rows,
        };
        let groups = self.run(command, &reader).await?.rows;
        let [names] = groups.as_slice() else {
            let call = self.command(command).await?;
            let text = format!("{} groups came for one identity", groups.len());
            return Err(ExchangeError::Ambiguous(call.failure(&text)));
        };
        let record = |name: &String| RecipientRecord {
            name: Some(name.clone()),
            identity: Some(name.clone()),
            ..RecipientRecord::default()
        };
        Ok(names.iter().map(record).collect())
    }

    async fn run<R: Debug>(
        &self,
        command: &Command<'_>,
        reader: &Reader<RecipientRow, Read<R>>,
    ) -> Result<Rows<R>, ExchangeError> {
        let call = self.command(command).await?;
        let list = self.read_all(&call, reader, |_, _| ()).await?;
        if list.repeated > 0 {
            // Groups and members are not looked up one by one, so a row missing from the list would go unnoticed (R10,
            // R11).
            let text = "a row is repeated on another page, so another row may be missing";
            return Err(ExchangeError::Paging(call.failure(text)));
        }
        let rows = list.rows.into_iter().collect::<Read<Vec<R>>>();
        let rows = rows.map_err(|names| {
            let text = format!("a row cannot be understood: {}", names.join(", "));
            ExchangeError::Protocol(call.failure(&text))
        })?;
        Ok(Rows {
            rows,
            pages: list.pages,
            repeated: list.repeated,
            had_no_body: list.had_no_body,
        })
    }

    async fn command(&self, command: &Command<'_>) -> Result<Call, ExchangeError> {
        let mut parameters = json!({"ResultSize": "Unlimited"});
        if let Some(identity) = command.identity {
            parameters["Identity"] = Value::from(identity);
        }
        if let Some(link_type) = command.link_type {
            parameters["LinkType"] = Value::from(link_type);
        }
        let input = json!({"CmdletInput": {"CmdletName": command.name, "Parameters": parameters}});
        let operation = match command.identity {
            Some(identity) => format!("run {} for {identity}", command.name),
            None => format!("run {}", command.name),
        };
        Ok(Call {
            kind: command.name,
            operation,
            method: Method::POST,
            url: self
                .address(&format!("InvokeCommand?$select={}", command.properties))
                .await?,
            body: Bytes::from(input.to_string()),
            prefer: "odata.maxpagesize=1000",
            timeout: COMMAND_TIMEOUT,
            comparable: false,
        })
    }
}
