//! `GET /access`: the access review (R43), from the last snapshot.

use serde_json::json;

use super::{AccessQuery, Format, Problem, Response, views};
use crate::{
    domain::{
        address::SmtpAddress,
        explain::Explanation,
        snapshot::{access::Review, history::History},
    },
    engine::Engine,
    render::{
        access,
        csv::Separator,
        html::access::{PAGE_ROWS, Search, View},
    },
};

/// How many of the newest runs are searched for the history on an account's page.
const HISTORY_RUNS: usize = 100;

pub(super) async fn access(
    engine: &Engine,
    query: &AccessQuery,
    base: &str,
) -> Result<Response, Problem> {
    let since = query.since.as_ref().map(|(_, at)| *at);
    let records = engine.records().await?;
    let review = records.review(&query.filter(), since).await?;
    Ok(match query.format {
        Format::Json => json(review, query.page),
        Format::Csv => views::download(
            Format::Csv,
            "cloud-sync-access.csv",
            access::table(&review, Separator::default()),
        ),
        Format::Html => {
            let since = query.since.as_ref();
            let search = Search {
                home: base,
                text: &query.text,
                since: since.map_or("", |(day, _)| day),
                only_changed: query.only_changed,
                page: query.page,
            };
            let view = View {
                review: &review,
                by: query.by,
                search: Some(search),
            };
            views::page(200, view.page())
        }
    })
}

/// R40, R42: the explanation of an address from both sides, or from the last snapshot if they cannot be read. A page is
/// from the snapshot unless `live` is set or the snapshot does not know the address, since reading both sides takes as
/// long as a preview. For HTML also the history of the account.
pub(super) async fn account(
    engine: &Engine,
    address: &SmtpAddress,
    format: Format,
    live: bool,
) -> Result<(Explanation, Option<History>), Problem> {
    if format == Format::Html
        && !live
        && let Some((explanation, history)) = from_snapshot(engine, address).await
        && explanation.unknown.is_none()
    {
        return Ok((explanation, Some(history)));
    }
    let explanation = match engine.explain(address).await {
        Ok(explanation) => explanation,
        Err(error) if error.is_of_a_service() => {
            let before = from_snapshot(engine, address).await;
            tracing::warn!("explained from the last snapshot: {error}");
            before.ok_or_else(|| Problem::from(error))?.0
        }
        Err(error) => return Err(error.into()),
    };
    if format != Format::Html || explanation.unknown.is_some() {
        return Ok((explanation, None));
    }
    let history = async {
        engine
            .records()
            .await?
            .history_of(address, HISTORY_RUNS)
            .await
    };
    let history = history.await.inspect_err(|error| {
        tracing::warn!("the history of an account cannot be read: {error}");
    });
    Ok((explanation, history.ok()))
}

async fn from_snapshot(engine: &Engine, address: &SmtpAddress) -> Option<(Explanation, History)> {
    let records = engine.records().await.ok()?;
    records.account(address, HISTORY_RUNS).await.ok()?
}

/// The requested page of rows, or all rows.
fn json(mut review: Review, page: Option<usize>) -> Response {
    let Some(page) = page else {
        return Response::json(200, &review);
    };
    let skipped = (page - 1).saturating_mul(PAGE_ROWS).min(review.rows.len());
    review.rows.drain(..skipped);
    let has_more = review.rows.len() > PAGE_ROWS;
    review.rows.truncate(PAGE_ROWS);
    let mut body = json!(review);
    body["page"] = json!(page);
    if has_more {
        body["next_page"] = json!(page + 1);
    }
    Response::json(200, &body)
}
