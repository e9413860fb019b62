//! `GET /access`: the access review (R43), from the last snapshot.

use serde_json::json;

use super::{AccessQuery, Format, Problem, Response, app::problem, views};
use crate::{
    domain::snapshot::access::Review,
    engine::Engine,
    render::{
        access,
        csv::Separator,
        html::access::{PAGE_ROWS, Search, View},
    },
};

pub(super) async fn access(
    engine: &Engine,
    query: &AccessQuery,
    base: &str,
) -> Result<Response, Problem> {
    let since = query.since.as_ref().map(|(_, at)| *at);
    let review = async { engine.records().await?.review(&query.filter(), since).await };
    let review = review.await.map_err(|error| problem(&error))?;
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

/// One page of rows, if one is asked for.
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
