//! `query`, `query_range`, `format_query`, `query_exemplars`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use promql::{Range, Value};
use serde_json::json;

use crate::envelope::{ApiError, success, success_text};
use crate::json::write_value;
use crate::params::Params;
use crate::state::{Api, QueryRequest};

/// Samples a series of one range query; more is a mistake in the step.
const STEPS_MAX: i64 = 11_000;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/query", get(instant).post(instant))
        .route("/api/v1/query_range", get(range).post(range))
        .route("/api/v1/format_query", get(format).post(format))
        .route("/api/v1/query_exemplars", get(exemplars).post(exemplars))
}

async fn instant(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let at = params.time("time")?.unwrap_or_else(|| api.clock.now());
    answer(&api, &params, Range::instant(at)).await
}

async fn range(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let missing = |name: &str| ApiError::bad_data(format!("invalid parameter \"{name}\": it is missing"));
    let start = params.time("start")?.ok_or_else(|| missing("start"))?;
    let end = params.time("end")?.ok_or_else(|| missing("end"))?;
    if end < start {
        return Err(ApiError::bad_data(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let step = params.duration("step")?.ok_or_else(|| missing("step"))?;
    if step.is_zero() {
        return Err(ApiError::bad_data(
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    let range = Range::new(start, end, step);
    if end.as_millis().saturating_sub(start.as_millis()) / range.step_ms > STEPS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    answer(&api, &params, range).await
}

async fn answer(api: &Api, params: &Params, range: Range) -> Result<Response, ApiError> {
    let request = QueryRequest {
        expr: params.required("query")?.to_owned(),
        range,
        lookback: params.duration("lookback_delta")?.filter(|d| *d > Duration::ZERO),
        timeout: params.duration("timeout")?,
    };
    let limit = params.limit("limit")?;
    let mut answer = api.queries.query(request).await?;
    let cut = match &mut answer.value {
        Value::Vector(vector) => cut(vector, limit),
        Value::Matrix(matrix) => cut(matrix, limit),
        _ => false,
    };
    if cut {
        answer.warnings.push("results truncated due to limit".to_owned());
    }
    let mut data = String::new();
    write_value(&mut data, &answer.value);
    data.push('}');
    Ok(success_text(&data, &answer.warnings, &answer.infos))
}

fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let cut = items.len() > limit;
    items.truncate(limit);
    cut
}

async fn format(params: Params) -> Result<Response, ApiError> {
    let expr = promql::parse(params.required("query")?, &promql::ParseOptions::all())
        .map_err(|errors| ApiError::bad_data(format!("invalid parameter \"query\": {errors}")))?;
    Ok(success(&json!(expr.pretty())))
}

/// No exemplars are stored; clients that ask get an empty list.
async fn exemplars(params: Params) -> Result<Response, ApiError> {
    params.required("query")?;
    Ok(success(&json!([])))
}
