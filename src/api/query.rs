//! `query`, `query_range`, `format_query`, `parse_query`, `query_exemplars`, and our `explain`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use promql::{Expr, Range, Value};
use serde_json::json;

use crate::answer::{AnswerText, respond};
use crate::envelope::{ApiError, success};
use crate::params::{Params, missing};
use crate::series::TRUNCATED;
use crate::state::{Api, QueryAnswer, QueryRequest};
use crate::stats::{explain_json, stats_json};
use crate::tree::tree;

/// Samples a series of one range query; more is a mistake in the step.
const STEPS_MAX: i64 = 11_000;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/query", get(instant).post(instant))
        .route("/api/v1/query_range", get(range).post(range))
        .route("/api/foghorn/v1/explain", get(explain).post(explain))
        .route("/api/v1/format_query", get(format).post(format))
        .route("/api/v1/parse_query", get(parse).post(parse))
        .route("/api/v1/query_exemplars", get(exemplars).post(exemplars))
}

async fn instant(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let at = params.time("time")?.unwrap_or_else(|| api.clock.now());
    answer(&api, &params, Range::instant(at)).await
}

/// The range that `start`, `end` and `step` say.
fn steps(params: &Params) -> Result<Range, ApiError> {
    let start = params.time("start")?.ok_or_else(|| missing("start"))?;
    let end = params.time("end")?.ok_or_else(|| missing("end"))?;
    if end < start {
        return Err(ApiError::bad_data(
            "invalid parameter \"end\": end timestamp must not be before start time",
        ));
    }
    let step = params.duration("step")?.ok_or_else(|| missing("step"))?;
    if step <= 0 {
        return Err(ApiError::bad_data(
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if end.as_millis().saturating_sub(start.as_millis()) / step > STEPS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(Range { start, end, step_ms: step })
}

async fn range(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    answer(&api, &params, steps(&params)?).await
}

fn request(params: &Params, range: Range) -> Result<QueryRequest, ApiError> {
    let positive = |name| -> Result<Option<Duration>, ApiError> {
        let millis = params.duration(name)?.and_then(|millis| u64::try_from(millis).ok());
        Ok(millis.map(Duration::from_millis))
    };
    // This one parameter has words of its own in the field.
    let lookback = positive("lookback_delta").map_err(|error| {
        let what = error.message.replacen("invalid parameter \"lookback_delta\": ", "", 1);
        ApiError::bad_data(format!("error parsing lookback delta duration: {what}"))
    })?;
    Ok(QueryRequest {
        expr: params.required("query")?.to_owned(),
        range,
        lookback: lookback.filter(|d| *d > Duration::ZERO),
        timeout: positive("timeout")?,
        stats: false,
        explain: false,
        origin: params.origin().clone(),
    })
}

async fn answer(api: &Api, params: &Params, range: Range) -> Result<Response, ApiError> {
    let limit = params.limit("limit")?;
    let mut request = request(params, range)?;
    let wanted = params.get("stats");
    request.stats = wanted == Some("all") && api.per_step_stats;
    let QueryAnswer { mut answer, timings } = api.queries.query(request).await?;
    let cut = match &mut answer.value {
        Value::Vector(vector) => cut(vector, limit),
        Value::Matrix(matrix) => cut(matrix, limit),
        _ => false,
    };
    if cut {
        answer.warnings.push(TRUNCATED.to_owned());
    }
    let stats = wanted.map(|_| stats_json(&timings, &answer.samples, range).to_string()).unwrap_or_default();
    Ok(respond(AnswerText::new(answer.value, &stats, &answer.warnings, &answer.infos)))
}

/// Our own: the account of an evaluation. An instant unless there is a `step`. The answer itself is left out.
async fn explain(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let range = if params.get("step").is_some() {
        steps(&params)?
    } else {
        Range::instant(params.time("time")?.unwrap_or_else(|| api.clock.now()))
    };
    let request = QueryRequest { explain: true, ..request(&params, range)? };
    let QueryAnswer { answer, timings } = api.queries.query(request).await?;
    let (kind, series) = match &answer.value {
        Value::Scalar { .. } => ("scalar", 1),
        Value::String { .. } => ("string", 1),
        Value::Vector(vector) => ("vector", vector.len()),
        Value::Matrix(matrix) => ("matrix", matrix.len()),
    };
    Ok(success(&json!({
        "resultType": kind,
        "series": series,
        "tree": answer.explain.as_ref().map(explain_json),
        "stats": stats_json(&timings, &answer.samples, range),
        "warnings": answer.warnings,
        "infos": answer.infos,
    })))
}

fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let cut = items.len() > limit;
    items.truncate(limit);
    cut
}

/// What is asked about is text: the whole language is understood, whatever may be evaluated here.
fn parsed(params: &Params) -> Result<Expr, ApiError> {
    promql::parse(params.required("query")?, &promql::ParseOptions::all())
        .map_err(|errors| ApiError::bad_data(format!("invalid parameter \"query\": {errors}")))
}

async fn format(params: Params) -> Result<Response, ApiError> {
    Ok(success(&json!(parsed(&params)?.pretty())))
}

async fn parse(params: Params) -> Result<Response, ApiError> {
    Ok(success(&tree(&parsed(&params)?)))
}

/// No exemplars are stored; clients that ask get an empty list.
async fn exemplars(params: Params) -> Result<Response, ApiError> {
    params.time_range()?;
    parsed(&params)?;
    Ok(success(&json!([])))
}
