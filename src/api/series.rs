//! `series`, `labels`, `label/NAME/values`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use model::Labels;
use ports::SelectError;

use crate::aside::aside;
use crate::envelope::{ApiError, success_text};
use crate::json::{write_labels, write_strings};
use crate::params::Params;
use crate::state::Api;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/labels", get(names).post(names))
        .route("/api/v1/label/{name}/values", get(values))
}

impl From<SelectError> for ApiError {
    fn from(error: SelectError) -> Self {
        ApiError::internal(error.message)
    }
}

async fn series(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let selectors = params.selectors()?;
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start, end) = params.time_range()?;
    let limit = params.limit("limit")?;
    let found: BTreeSet<Labels> = aside(Arc::clone(&api.store), async move |store| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(store.series(matchers, start, end).await?);
        }
        Ok(found)
    })
    .await?;
    let mut data = String::from("[");
    for (index, labels) in found.iter().take(limit).enumerate() {
        if index > 0 {
            data.push(',');
        }
        write_labels(&mut data, labels);
    }
    data.push(']');
    Ok(success_text(&data, &truncated(found.len(), limit)))
}

async fn names(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let (start, end) = params.time_range()?;
    let limit = params.limit("limit")?;
    let selectors = selectors_or_all(&params)?;
    let found = aside(Arc::clone(&api.store), async move |store| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(store.label_names(matchers, start, end).await?);
        }
        Ok(found)
    });
    list(found.await?, limit)
}

async fn values(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    // Names outside the classic characters travel as `U__…` in a path.
    let name = model::unescape_name(&name, model::EscapingScheme::Values);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: it is empty"));
    }
    let (start, end) = params.time_range()?;
    let limit = params.limit("limit")?;
    let selectors = selectors_or_all(&params)?;
    let found = aside(Arc::clone(&api.store), async move |store| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(store.label_values(&name, matchers, start, end).await?);
        }
        Ok(found)
    });
    list(found.await?, limit)
}

fn selectors_or_all(params: &Params) -> Result<Vec<Vec<model::Matcher>>, ApiError> {
    let selectors = params.selectors()?;
    Ok(if selectors.is_empty() { vec![Vec::new()] } else { selectors })
}

fn list(found: BTreeSet<String>, limit: usize) -> Result<Response, ApiError> {
    let mut data = String::new();
    write_strings(&mut data, found.iter().take(limit).map(String::as_str));
    Ok(success_text(&data, &truncated(found.len(), limit)))
}

/// What is said when `limit` left something out.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

fn truncated(found: usize, limit: usize) -> Vec<String> {
    if found > limit { vec![TRUNCATED.to_owned()] } else { Vec::new() }
}
