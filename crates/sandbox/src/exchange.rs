//! A strict simulator of the Exchange Online admin API (`adminapi/beta`, and the parts that `v1.0` and `v2.0` share
//! with it) with one tenant. It follows the observed behaviour of the service and refuses everything unknown; behaviour
//! that was not observed is a named switch.
//!
//! A request passes the limits, the control plane (latency, faults, journal), the token and the grants, and then one of
//! `odata`, `cmdlet` and `batch`.

mod batch;
mod call;
mod cmdlet;
pub mod faults;
mod filter;
mod index;
mod odata;
mod paging;
mod reply;
mod routes;
mod rows;
mod session;
mod switches;
mod tenant;
mod throttle;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::control::{Authorization, Control};
use super::identity::{Identity, Settings};
use call::Call;
use index::Index;
use paging::Links;
use reply::Reply;
use session::Session;
use throttle::Limits;

pub use switches::{
    BatchFault, BatchOrder, Bucket, Gzip, ItemFault, Link, MicroDelay, NoOutput, Paging, Refusal,
    RefusalBody, ResultSize, RetryAfter, Switches, Throttle,
};
pub use tenant::{
    Contact, ExchangeRole, Grants, Group, GroupKind, Life, Mailbox, Permission, SelfEntry, Tenant,
    guid,
};

/// The simulated service. Clones share its state.
#[derive(Clone, Debug)]
pub struct Simulator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    control: Control,
    identity: Identity,
    world: RwLock<World>,
    links: Mutex<Links>,
    limits: Limits,
    /// How often each batch fault of the switches has occurred.
    batch_hits: Mutex<HashMap<usize, u32>>,
    requests: AtomicU64,
}

/// The tenant and the index of its objects.
#[derive(Debug)]
struct World {
    tenant: Tenant,
    index: Index,
}

/// How many requests were in flight when this one arrived, including this one.
#[derive(Clone, Copy)]
struct SeatNumber(u32);

impl Simulator {
    pub fn new(tenant: Tenant) -> Self {
        let control = Control::new();
        let settings = Settings {
            tenant_id: tenant.tenant_id.clone(),
            roles: tenant.grants.app_roles.clone(),
            ..Settings::default()
        };
        let index = Index::new(&tenant);
        Self {
            inner: Arc::new(Inner {
                identity: Identity::new(settings, &control),
                control,
                world: RwLock::new(World { tenant, index }),
                links: Mutex::default(),
                limits: Limits::default(),
                batch_hits: Mutex::default(),
                requests: AtomicU64::new(0),
            }),
        }
    }

    /// The API behind its limits and its control plane, and the routes under `/sandbox/exchange`.
    pub fn router(&self) -> Router {
        let api = Router::new().fallback(handle).with_state(self.clone());
        let identity = self.inner.identity.clone();
        let api = self.inner.control.wrap(api, move |headers| {
            let Some(value) = headers.get("authorization") else {
                return Authorization::Absent;
            };
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            if token.is_some_and(|(_, token)| identity.claims(token.trim()).is_some()) {
                Authorization::Right
            } else {
                Authorization::Wrong
            }
        });
        let inner = Arc::clone(&self.inner);
        // Outside the control plane, so that a request counts as in flight during its latency.
        let seated = middleware::from_fn(move |mut request: Request, next: Next| {
            let inner = Arc::clone(&inner);
            async move {
                let seat = inner.limits.sit();
                request.extensions_mut().insert(SeatNumber(seat.number));
                next.run(request).await
            }
        });
        api.layer(seated)
            .merge(self.inner.control.routes("exchange"))
            .merge(routes::routes(self.clone()))
    }

    pub fn control(&self) -> &Control {
        &self.inner.control
    }

    /// The managed identity endpoint that issues the tokens accepted here.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// A copy of the current tenant.
    pub fn state(&self) -> Tenant {
        self.inner.world().tenant.clone()
    }

    /// Reads the tenant without copying it.
    pub fn read<R>(&self, look: impl FnOnce(&Tenant) -> R) -> R {
        look(&self.inner.world().tenant)
    }

    /// Changes the tenant between two requests. Rebuilding the index of a large tenant takes a moment.
    pub fn with_state<R>(&self, change: impl FnOnce(&mut Tenant) -> R) -> R {
        let mut world = self
            .inner
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = (
            world.tenant.tenant_id.clone(),
            world.tenant.grants.app_roles.clone(),
        );
        let result = change(&mut world.tenant);
        world.index = Index::new(&world.tenant);
        let Tenant {
            tenant_id, grants, ..
        } = &world.tenant;
        if before != (tenant_id.clone(), grants.app_roles.clone()) {
            self.inner.identity.with_settings(|settings| {
                settings.tenant_id.clone_from(tenant_id);
                settings.roles.clone_from(&grants.app_roles);
            });
        }
        self.inner.forget_batch_hits();
        result
    }

    /// Changes only the switches, without rebuilding the index.
    pub fn switch<R>(&self, change: impl FnOnce(&mut Switches) -> R) -> R {
        let mut world = self
            .inner
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.inner.forget_batch_hits();
        change(&mut world.tenant.switches)
    }
}

async fn handle(State(simulator): State<Simulator>, request: Request) -> Response {
    let inner = &simulator.inner;
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let seat = parts.extensions.get().map_or(1, |SeatNumber(seat)| *seat);
    let call = Call::new(parts.method, &parts.uri, parts.headers, body);
    let delay = inner.delay(seat);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    inner.answer(&call, seat).into_response()
}

impl Inner {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_batch_hits(&self) {
        self.batch_hits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn delay(&self, seat: u32) -> Duration {
        match self.world().tenant.switches.throttle.micro_delay {
            Some(micro) if seat > micro.above_in_flight => {
                Duration::from_millis(micro.delay_millis)
            }
            _ => Duration::ZERO,
        }
    }

    fn answer(&self, call: &Call, seat: u32) -> Reply {
        let world = self.world();
        let throttle = &world.tenant.switches.throttle;
        let crowded = throttle.in_flight_max.is_some_and(|max| seat > max);
        let remaining = if crowded {
            None
        } else {
            self.limits.take(throttle, self.control.now())
        };
        let reply = match remaining {
            None => throttle::refusal(throttle),
            Some(_) => Session::serve(self, &world, call),
        };
        self.with_headers(reply, &world, call, remaining.unwrap_or(0), seat)
    }

    /// Adds the headers of every answer.
    fn with_headers(
        &self,
        reply: Reply,
        world: &World,
        call: &Call,
        remaining: u32,
        seat: u32,
    ) -> Reply {
        let switches = &world.tenant.switches;
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let now_s = self.identity.now_s();
        let mut reply = reply
            .with_header(
                "request-id",
                format!("44444444-0000-4000-8000-{number:012x}"),
            )
            .with_header("x-calculatedbetarget", "be01.example.invalid".to_owned())
            .with_header("date", session::http_date(now_s));
        if switches.rate_limit_headers && reply.is_success() {
            let limit = throttle::capacity(&switches.throttle);
            reply = reply
                .with_header("rate-limit-limit", limit.to_string())
                .with_header("rate-limit-remaining", remaining.to_string())
                .with_header("rate-limit-reset", session::iso_date(now_s + 60))
                .with_header("x-concurrencycount", (seat - 1).to_string())
                .with_header("x-combinedapponlyconcurrencycount", (seat - 1).to_string());
        }
        if let Some(rows) = call.prefer().page_rows {
            let rows = rows.min(switches.page_rows_max);
            reply = reply.with_header(
                "preference-applied",
                format!("odata.include-annotations=\"*\";odata.maxpagesize={rows}"),
            );
        }
        let wants_gzip = call
            .header("accept-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().contains("gzip"));
        match switches.gzip {
            Gzip::PlainLabelled if wants_gzip => reply.mislabelled(false),
            Gzip::NulBytes if wants_gzip => reply.mislabelled(true),
            Gzip::Ignored | Gzip::PlainLabelled | Gzip::NulBytes => reply,
        }
    }
}
