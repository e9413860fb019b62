//! The server behind the Functions host.

use std::{net::Ipv4Addr, process::ExitCode};

use crate::{
    engine::{Engine, Links},
    functions::{self, App},
    otlp::Otlp,
    settings::{self, LogSettings, Settings},
    telemetry,
};

/// Binds the port first: the host waits only a few seconds for it, and restarts a handler that it cannot reach.
pub(super) fn serve(port: u16) -> ExitCode {
    let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let telemetry = telemetry::for_host(
        &LogSettings::read(settings::environment),
        Otlp::read(settings::environment),
    );
    let listener = match bound.and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    }) {
        Ok(listener) => {
            tracing::info!(port, version = super::VERSION.as_str(), "listening");
            listener
        }
        Err(error) => {
            tracing::error!(port, %error, "cannot listen on 127.0.0.1: another process has the port");
            return ExitCode::FAILURE;
        }
    };
    let served = tokio::runtime::Runtime::new().and_then(|runtime| {
        let links = Links {
            otlp: telemetry.otlp.clone(),
            ..Links::default()
        };
        runtime
            .block_on(async { serve_on(tokio::net::TcpListener::from_std(listener)?, links).await })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the server ended");
            ExitCode::FAILURE
        }
    }
}

/// Invalid settings do not end the server: each invocation answers with the error.
async fn serve_on(listener: tokio::net::TcpListener, links: Links) -> std::io::Result<()> {
    let settings = Settings::read(settings::environment, &settings::environment_names());
    let stop = links.stop.clone();
    let app = App::new(settings.map(|settings| Engine::new(settings, links)));
    let handle = move |invocation| {
        let app = app.clone();
        async move { app.handle(invocation).await }
    };
    // The stop is requested before the listener closes, so that runs hand over their remaining work and release their
    // lock.
    let is_child_of_host =
        settings::functions_port(settings::environment).is_ok_and(|port| port.is_some());
    let shutdown = async move {
        tokio::select! {
            _ = functions::shutdown_signal() => {}
            () = functions::parent_ended(), if is_child_of_host => {
                tracing::warn!("the Functions host has ended, so this process ends too");
            }
        }
        stop.request();
    };
    functions::serve(listener, shutdown, handle).await
}
