//! Simulators of the external services for tests, demonstrations and load tests. They share no type with the clients,
//! refuse everything unknown, and record the requests they receive.

pub mod control;
pub mod exchange;
pub mod graph;
pub mod identity;
pub mod tenant;
pub mod zivver;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long answers in progress may take after `stop`.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// All simulators behind one port of the loopback interface.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    pub exchange: exchange::Simulator,
    pub zivver: zivver::Simulator,
    pub graph: graph::Graph,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<io::Result<()>>,
}

#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// 0 = any free port.
    pub port: u16,
    pub tenant: exchange::Tenant,
    pub organisation: zivver::Organisation,
}

impl Sandbox {
    /// Fails if the port is in use.
    pub async fn start(options: SandboxOptions) -> io::Result<Self> {
        let SandboxOptions {
            port,
            tenant,
            organisation,
        } = options;
        let exchange = exchange::Simulator::new(tenant);
        let zivver = zivver::Simulator::new(organisation);
        let graph = graph::Graph::new(&exchange);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let stopping = watch::Sender::new(false);
        let router = exchange
            .router()
            .merge(exchange.identity().router())
            .merge(zivver.router())
            .merge(graph.router());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, stopping.subscribe()));
        Ok(Self {
            address,
            exchange,
            zivver,
            graph,
            stopping,
            tasks,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL as used in the settings: the part before `/scim/v2`.
    pub fn zivver_url(&self) -> String {
        format!("{}/api", self.url())
    }

    pub fn exchange_url(&self) -> String {
        self.url()
    }

    pub fn identity_endpoint(&self) -> String {
        format!("{}/msi/token", self.url())
    }

    /// Lets answers in progress finish, up to a timeout.
    pub async fn stop(mut self) {
        self.release();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        // Dropping the set aborts what is still running after the timeout.
        drop(tokio::time::timeout(STOP_TIMEOUT, finished).await);
    }

    fn release(&self) {
        self.stopping.send_replace(true);
        self.zivver.control().close();
        self.exchange.control().close();
        self.exchange.identity().control().close();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.release();
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    // Otherwise small answers would wait for the delayed acknowledgement of the caller.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stopped = async move {
        // An error means that the sandbox was dropped.
        drop(stopping.wait_for(|stopping| *stopping).await);
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}
