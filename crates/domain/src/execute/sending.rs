//! One request, sent until Zivver accepts it or refuses it for a reason that leaving out an alias cannot remove (R23).
//!
//! | Stage | Request | Accepted | An alias is refused |
//! | --- | --- | --- | --- |
//! | [`Stage::Whole`] | as drafted, less what was refused | ends | again without it; `WithoutNew` if Zivver does not say which |
//! | [`Stage::WithoutNew`] | without any alias that is new | `OneByOne` with the first of them | again without what the account had |
//! | [`Stage::OneByOne`] | with one more of them | the next of them | the next of them, without this one |
//!
//! Any other refusal, and any other answer, ends it in every stage.

use std::collections::VecDeque;

use super::{
    alias_domains::RefusedAliases,
    request::{Accepted, Answer, Blame, Refused, Request},
    situation::StepEnd,
    turn::{AtStake, Draft},
};
use crate::{accounts::Account, address::SmtpAddress, ineffective::Asked};

#[derive(Debug)]
pub(super) struct Sending {
    request: Request,
    stage: Stage,
    /// New aliases in the request. Any of them may be refused.
    open: Vec<SmtpAddress>,
    /// Whether the request without them would change nothing.
    only_aliases: bool,
    at_stake: AtStake,
    /// The only new alias, which was left out although Zivver did not name it.
    suspected: Option<SmtpAddress>,
    /// Refused aliases, each with the refusal.
    refused: Vec<(SmtpAddress, String)>,
    /// Those that were refused because of their domain.
    unowned: Vec<SmtpAddress>,
    left_out: Vec<String>,
    problems: Vec<String>,
    created: Option<Created>,
    /// The account after the last accepted update, if Zivver returned it.
    updated: Option<Account>,
    progress: Progress,
}

/// The best result so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Unsent,
    Sent,
    Accepted,
}

#[derive(Debug)]
enum Stage {
    Whole,
    /// Without the new aliases, which are tried afterwards.
    WithoutNew(VecDeque<SmtpAddress>),
    OneByOne {
        current: SmtpAddress,
        rest: VecDeque<SmtpAddress>,
    },
}

/// The account of a create.
#[derive(Debug, Clone)]
pub(super) struct Created {
    pub account: Account,
    /// Whether it was found by its address (R31).
    pub is_found: bool,
}

/// How a step ended, with everything that the run needs to know about it.
#[derive(Debug)]
pub(super) struct Ended {
    pub end: StepEnd,
    pub created: Option<Created>,
    pub problems: Vec<String>,
    /// What was accepted, for comparison with the lists.
    pub asked: Asked,
    pub updated: Option<Account>,
    /// The refusal of the whole request.
    pub refusal: Option<String>,
    /// The refusals of single aliases, which were left out of the request (R23).
    pub refused_aliases: Vec<(SmtpAddress, String)>,
    pub unowned: RefusedAliases,
    /// Zivver did not answer (R32).
    pub is_outage: bool,
    /// Why the whole run must stop (R29, R32).
    pub fatal: Option<String>,
}

impl Ended {
    pub(super) fn new(end: StepEnd) -> Self {
        Self {
            end,
            created: None,
            problems: Vec::new(),
            asked: Asked::default(),
            updated: None,
            refusal: None,
            refused_aliases: Vec::new(),
            unowned: RefusedAliases::default(),
            is_outage: false,
            fatal: None,
        }
    }

    pub(super) fn failed(end: StepEnd, message: String) -> Self {
        Self {
            problems: vec![message],
            ..Self::new(end)
        }
    }
}

/// What to do after an answer.
#[derive(Debug)]
pub(super) enum Next {
    /// [`Sending::request`] is sent again.
    Send,
    End(Box<Ended>),
}

/// What to do after a refusal.
enum Recourse {
    Again,
    OneByOne,
    None,
}

impl Sending {
    pub(super) fn new(draft: Draft) -> Self {
        let Draft {
            request,
            new_aliases,
            only_aliases,
            at_stake,
            left_out,
        } = draft;
        Self {
            request,
            stage: Stage::Whole,
            open: new_aliases,
            only_aliases,
            at_stake,
            suspected: None,
            refused: Vec::new(),
            unowned: Vec::new(),
            left_out,
            problems: Vec::new(),
            created: None,
            updated: None,
            progress: Progress::Unsent,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Next {
        let progress = match &answer {
            Answer::Accepted(_) => Progress::Accepted,
            Answer::Refused(_)
            | Answer::Unavailable(_)
            | Answer::Denied(_)
            | Answer::Stopped { was_sent: true, .. } => Progress::Sent,
            Answer::Stopped {
                was_sent: false, ..
            } => Progress::Unsent,
        };
        self.progress = self.progress.max(progress);
        match answer {
            Answer::Accepted(accepted) => self.accepted(accepted),
            Answer::Refused(refused) => self.refused(&refused),
            Answer::Unavailable(message) => self.end(Ended {
                is_outage: true,
                ..Ended::failed(StepEnd::Failed, message)
            }),
            Answer::Denied(message) => self.end(Ended {
                fatal: Some(message.clone()),
                ..Ended::failed(StepEnd::Failed, message)
            }),
            Answer::Stopped {
                message,
                is_cut_off,
                ..
            } => {
                let end = match self.progress {
                    Progress::Unsent => StepEnd::Unsent,
                    Progress::Sent | Progress::Accepted => StepEnd::Failed,
                };
                self.end(Ended {
                    fatal: (!is_cut_off).then(|| message.clone()),
                    ..Ended::failed(end, message)
                })
            }
        }
    }

    fn accepted(&mut self, accepted: Accepted) -> Next {
        match accepted {
            Accepted::Created { account, is_found } => {
                self.created = Some(Created { account, is_found });
            }
            Accepted::Updated(account) => self.updated = account,
        }
        match std::mem::replace(&mut self.stage, Stage::Whole) {
            Stage::Whole => self.end_taken(),
            Stage::WithoutNew(new) => self.add_next(new),
            Stage::OneByOne { rest, .. } => self.add_next(rest),
        }
    }

    fn refused(&mut self, refused: &Refused) -> Next {
        match std::mem::replace(&mut self.stage, Stage::Whole) {
            Stage::OneByOne { current, rest } if !refused.names_other(&current) => {
                self.leave_out(&current, refused);
                self.add_next(rest)
            }
            Stage::OneByOne { .. } => self.end_refused(refused),
            stage @ (Stage::Whole | Stage::WithoutNew(_)) => {
                self.stage = stage;
                match self.recourse(refused) {
                    Recourse::Again if self.only_aliases && self.open.is_empty() => {
                        self.end_taken()
                    }
                    Recourse::Again => Next::Send,
                    Recourse::OneByOne => self.one_by_one(),
                    Recourse::None => self.end_refused(refused),
                }
            }
        }
    }

    /// R23: leaves out what was refused, so that the rest of the request is carried out.
    fn recourse(&mut self, refused: &Refused) -> Recourse {
        let named = match &refused.blames {
            Blame::Alias(named) => named.clone(),
            Blame::AliasDomain => None,
            Blame::Request => return Recourse::None,
        };
        match (named, &*self.open) {
            (Some(address), open) if open.contains(&address) => self.leave_out(&address, refused),
            (Some(address), _) if self.request.principal() == Some(&address) => {
                return Recourse::None;
            }
            (Some(address), _) if self.request.has_alias(&address) => {
                return self.without_stored(&address, refused);
            }
            (_, []) => return self.without_extension(refused),
            (None, [only]) => {
                let only = only.clone();
                self.leave_out(&only, refused);
                self.suspected = Some(only);
            }
            (_, _) => return Recourse::OneByOne,
        }
        Recourse::Again
    }

    /// The whole extension is refused because of an alias that the account had before. If access must be removed, the
    /// alias is left out. Otherwise the alias stays, and the extension is not written.
    fn without_stored(&mut self, alias: &SmtpAddress, refused: &Refused) -> Recourse {
        if self.at_stake != AtStake::AccessRemoval {
            return self.without_extension(refused);
        }
        self.request.remove_alias(alias);
        self.problems.push(format!(
            "the alias {alias}, which the account had, is left out so that access is removed: {}",
            refused.message
        ));
        Recourse::Again
    }

    /// The rest of the request, without aliases and delegates.
    fn without_extension(&mut self, refused: &Refused) -> Recourse {
        // The request is refused without that alias too.
        if let Some(suspected) = self.suspected.take() {
            self.refused.retain(|(alias, _)| *alias != suspected);
            self.unowned.retain(|alias| *alias != suspected);
            self.problems.clear();
        }
        if self.at_stake == AtStake::Tie || !self.request.drop_extension() {
            return Recourse::None;
        }
        self.open.clear();
        self.problems.push(format!(
            "the extension is not written because of an alias that the account had: {}",
            refused.message
        ));
        Recourse::Again
    }

    fn leave_out(&mut self, alias: &SmtpAddress, refused: &Refused) {
        self.open.retain(|open| open != alias);
        self.request.remove_alias(alias);
        self.problems.push(format!(
            "the alias {alias} is left out: {}",
            refused.message
        ));
        self.refused.push((alias.clone(), refused.cause.clone()));
        if refused.blames == Blame::AliasDomain {
            self.unowned.push(alias.clone());
        }
    }

    /// Zivver does not say which alias it refuses: first without any new alias, so that the rest is done, then each
    /// alias alone.
    fn one_by_one(&mut self) -> Next {
        let new: VecDeque<SmtpAddress> = std::mem::take(&mut self.open).into();
        for alias in &new {
            self.request.remove_alias(alias);
        }
        if self.only_aliases {
            return self.add_next(new);
        }
        self.stage = Stage::WithoutNew(new);
        Next::Send
    }

    fn add_next(&mut self, mut new: VecDeque<SmtpAddress>) -> Next {
        // A create is completed by a separate step, which tries the aliases again.
        if self.request.is_create() || !self.request.has_aliases() {
            return self.end_taken();
        }
        while let Some(alias) = new.pop_front() {
            if !self.is_unowned(&alias) {
                self.request.add_alias(&alias);
                self.stage = Stage::OneByOne {
                    current: alias,
                    rest: new,
                };
                return Next::Send;
            }
        }
        self.end_taken()
    }

    fn is_unowned(&self, alias: &SmtpAddress) -> bool {
        let mut unowned = self.unowned.iter();
        unowned.any(|known| known.domain() == alias.domain())
    }

    /// Nothing is left to send. If nothing was accepted, the request was for aliases alone, and all of them were
    /// refused.
    fn end_taken(&mut self) -> Next {
        let mut ended = Ended::new(StepEnd::Refused);
        if self.progress == Progress::Accepted {
            ended.end = StepEnd::Done;
            ended.created = self.created.take();
            ended.asked = self.request.asked();
            ended.updated = self.updated.take();
        }
        self.end(ended)
    }

    fn end_refused(&mut self, refused: &Refused) -> Next {
        self.end(Ended {
            refusal: Some(refused.cause.clone()),
            ..Ended::failed(StepEnd::Refused, refused.message.clone())
        })
    }

    fn end(&mut self, mut ended: Ended) -> Next {
        if !self.unowned.is_empty() {
            ended.unowned = RefusedAliases {
                others: self.request.alias_domains(),
                aliases: std::mem::take(&mut self.unowned),
                rest_accepted: self.progress == Progress::Accepted,
            };
        }
        ended.refused_aliases = std::mem::take(&mut self.refused);
        ended.problems.splice(0..0, self.problems.drain(..));
        ended.problems.append(&mut self.left_out);
        Next::End(Box::new(ended))
    }
}
