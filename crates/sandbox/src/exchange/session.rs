//! The request that is being served: authorisation, interpretation, and what the parts of the API share.

use std::sync::PoisonError;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::call::{Call, Route, Target, Version};
use super::index::{Object, Ref};
use super::paging::{self, Place};
use super::reply::{Exception, Reply};
use super::switches::{ItemFault, Switches};
use super::{Inner, World, batch, cmdlet, odata, throttle};
use crate::identity::{EXCHANGE_RESOURCE, MANAGE_AS_APP, MANAGE_AS_APP_V2};

#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'a> {
    inner: &'a Inner,
    pub(super) world: &'a World,
    pub(super) call: &'a Call,
    pub(super) version: Version,
    rest: &'a str,
    now: Duration,
}

impl<'a> Session<'a> {
    pub(super) fn serve(inner: &'a Inner, world: &'a World, call: &'a Call) -> Reply {
        let Some(route) = Route::parse(&call.path) else {
            return Reply::not_found();
        };
        let session = Self {
            inner,
            world,
            call,
            version: route.version,
            rest: route.rest,
            now: inner.control.now(),
        };
        match session.dispatch(&route) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    /// An item of a batch, which has its own cost and its own check of the grants.
    pub(super) fn item(&self, call: &Call) -> Reply {
        let throttle = &self.switches().throttle;
        match self.inner.limits.take(throttle, self.now) {
            None => throttle::refusal(throttle),
            Some(_) => Session::serve(self.inner, self.world, call),
        }
    }

    fn dispatch(&self, route: &Route<'_>) -> Result<Reply, Reply> {
        self.authenticate(route)?;
        if route.version == Version::V2 {
            return cmdlet::v2(self);
        }
        match route.target() {
            Target::InvokeCommand if route.version == Version::V1 => Err(Reply::odata_error(
                405,
                "MethodNotAllowed",
                "The requested resource does not support this HTTP method.",
            )),
            Target::Batch if route.version == Version::V1 => Err(Reply::not_found()),
            Target::InvokeCommand => cmdlet::invoke(self, None),
            Target::Batch => batch::batch(self),
            Target::List => self.allowed("Get-Mailbox").and_then(|()| odata::list(self)),
            Target::One(key) => self
                .allowed("Get-Mailbox")
                .and_then(|()| odata::one(self, &key)),
            Target::Permissions(key) => self
                .allowed("Get-MailboxPermission")
                .and_then(|()| odata::permissions(self, &key)),
            Target::ModuleFile => {
                odata::module_file(self, &cmdlet::allowed(&self.world.tenant.grants))
            }
            Target::Root => odata::root(self),
            Target::Unknown => Err(Reply::not_found()),
        }
    }

    /// Checks token, tenant and app role; each cmdlet checks the Exchange role.
    fn authenticate(&self, route: &Route<'_>) -> Result<(), Reply> {
        let tenant = &self.world.tenant;
        let claims = self
            .call
            .bearer()
            .and_then(|token| self.inner.identity.claims(token))
            .ok_or_else(Reply::invalid_token)?;
        let audience = claims.aud.trim_end_matches('/');
        if !audience.eq_ignore_ascii_case(EXCHANGE_RESOURCE)
            || !claims.tid.eq_ignore_ascii_case(&tenant.tenant_id)
        {
            return Err(Reply::invalid_token());
        }
        let known = std::iter::once(&tenant.tenant_id)
            .chain(&tenant.domains)
            .any(|name| name.eq_ignore_ascii_case(&route.tenant));
        if !known {
            return Err(Reply::not_found());
        }
        let has = |role: &str| claims.roles.iter().any(|it| it == role);
        let (needed, other) = match route.version {
            Version::Beta | Version::V1 => (MANAGE_AS_APP, MANAGE_AS_APP_V2),
            Version::V2 => (MANAGE_AS_APP_V2, MANAGE_AS_APP),
        };
        if has(needed) {
            Ok(())
        } else if has(other) {
            Err(Reply::empty(403))
        } else {
            Err(Reply::empty(401))
        }
    }

    fn allowed(&self, cmdlet: &str) -> Result<(), Reply> {
        if cmdlet::allows(&self.world.tenant.grants, cmdlet) {
            return Ok(());
        }
        let message = format!("User is not allowed to call {cmdlet}");
        Err(Reply::odata_error(401, "Unauthorized", &message))
    }

    pub(super) fn switches(&self) -> &'a Switches {
        &self.world.tenant.switches
    }

    pub(super) fn object(&self, at: Ref) -> Object<'a> {
        let tenant = &self.world.tenant;
        match at {
            Ref::Mailbox(at) => Object::Mailbox(&tenant.mailboxes[at as usize]),
            Ref::Group(at) => Object::Group(&tenant.groups[at as usize]),
            Ref::Contact(at) => Object::Contact(&tenant.contacts[at as usize]),
        }
    }

    /// The path below the tenant, as received.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    fn root(&self) -> String {
        let version = match self.version {
            Version::Beta => "beta",
            Version::V1 => "v1.0",
            Version::V2 => "v2.0",
        };
        format!("/adminapi/{version}/{}", self.world.tenant.tenant_id)
    }

    /// The service root with tenant, as an absolute URL.
    pub(super) fn base(&self) -> String {
        format!("{}{}", self.call.origin, self.root())
    }

    pub(super) fn rows_max(&self) -> usize {
        let most = self.switches().page_rows_max;
        self.call
            .prefer()
            .page_rows
            .map_or(most, |rows| rows.min(most))
    }

    /// The first members of every body.
    pub(super) fn envelope(&self, context: &str) -> Map<String, Value> {
        let mut body = Map::new();
        let context = if context.is_empty() {
            format!("{}/$metadata", self.base())
        } else {
            format!("{}/$metadata#{context}", self.base())
        };
        body.insert("@odata.context".to_owned(), json!(context));
        if self.switches().unknown_members {
            body.insert("@future.annotation".to_owned(), json!({"a": [1]}));
        }
        body
    }

    /// The position of this request: the start, or that of its link.
    pub(super) fn place(
        &self,
        token: Option<&str>,
        question: &str,
        top: Option<usize>,
    ) -> Result<Place, Reply> {
        let anchor = self.call.anchor();
        let Some(token) = token else {
            return Ok(Place {
                question: question.to_owned(),
                anchor,
                select: None,
                next: 0,
                left: top,
                page: 1,
                made_at: self.now,
            });
        };
        self.inner
            .links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .resume(
                token,
                question,
                anchor.as_deref(),
                self.now,
                self.switches(),
            )
            .ok_or_else(|| Exception::paging().reply(self.call.wants_json_in_string()))
    }

    /// The first request of a link.
    pub(super) fn question_of(&self, token: &str) -> Option<String> {
        self.inner
            .links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .question(token)
    }

    /// Puts the link to `place` into a body: a new one, or `same` again.
    pub(super) fn link(
        &self,
        body: &mut Map<String, Value>,
        path: &str,
        query: &str,
        place: Place,
        same: Option<&str>,
    ) {
        let Some(origin) = paging::origin(self.switches().link, &self.call.origin) else {
            return;
        };
        let token = same.map_or_else(
            || {
                let place = Place {
                    made_at: self.now,
                    ..place
                };
                self.inner
                    .links
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .make(place)
            },
            ToOwned::to_owned,
        );
        let joint = if query.is_empty() { "" } else { "&" };
        let root = self.root();
        let link = format!("{origin}{root}/{path}?{query}{joint}%24skiptoken={token}");
        body.insert("@odata.nextLink".to_owned(), json!(link));
    }

    /// The fault for this item of a batch, if one is due.
    pub(super) fn batch_fault(&self, url: &str) -> Option<ItemFault> {
        let mut hits = self
            .inner
            .batch_hits
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let faults = self.switches().batch_faults.iter().enumerate();
        for (at, fault) in faults.filter(|(_, fault)| url.contains(&fault.url_contains)) {
            let so_far = hits.entry(at).or_default();
            if fault.times.is_none_or(|times| *so_far < times) {
                *so_far += 1;
                return Some(fault.kind.clone());
            }
        }
        None
    }
}

/// `Date` in HTTP format, at most the end of the year 9998.
pub(super) fn http_date(epoch_s: u64) -> String {
    const LAST_S: u64 = 253_370_764_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(epoch_s.min(LAST_S)))
}

/// ISO 8601 in UTC with milliseconds.
pub(super) fn iso_date(epoch_s: u64) -> String {
    i64::try_from(epoch_s)
        .ok()
        .and_then(|second| jiff::Timestamp::from_second(second).ok())
        .map_or_else(String::new, |at| format!("{at:.3}"))
}
