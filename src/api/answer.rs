//! The answer to a query as the body of a response.
//!
//! In: a [`promql::Value`] and what is said beside it. Out: JSON in chunks, each written when the client is ready for it, so
//! that a large matrix is never in memory twice: series are let go as they are written.
//! Not here: HTTP. Start at [`AnswerText`].

use std::vec::IntoIter;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use model::{FloatSample, Series, VectorSample};
use promql::Value;

use crate::json::{
    write_float_sample, write_series, write_string, write_strings, write_timestamp, write_vector_sample,
};

/// A chunk is handed on when it has this many bytes; it is larger by the last series in it.
const CHUNK_BYTES: usize = 64 * 1024;

/// The text of an answer: an iterator over its chunks.
#[derive(Debug)]
pub struct AnswerText {
    head: String,
    items: Items,
    first: bool,
    tail: Option<String>,
}

#[derive(Debug)]
enum Items {
    None,
    Vector(IntoIter<VectorSample>),
    Matrix(IntoIter<Series>),
}

impl AnswerText {
    /// `stats` is JSON already, or empty.
    pub fn new(value: Value, stats: &str, warnings: &[String], infos: &[String]) -> Self {
        let mut head = String::from(r#"{"status":"success","data":{"resultType":""#);
        head.push_str(match &value {
            Value::Scalar { .. } => "scalar",
            Value::String { .. } => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        });
        head.push_str(r#"","result":["#);
        let mut tail = String::from("]");
        let items = match value {
            Value::Scalar { at, value } => {
                // The brackets of a sample are those of the result.
                head.pop();
                write_float_sample(&mut head, FloatSample { at, value });
                tail.clear();
                Items::None
            }
            Value::String { at, value } => {
                write_timestamp(&mut head, at);
                head.push(',');
                write_string(&mut head, &value);
                Items::None
            }
            Value::Vector(vector) => Items::Vector(vector.into_iter()),
            Value::Matrix(matrix) => Items::Matrix(matrix.into_iter()),
        };
        if !stats.is_empty() {
            tail.push_str(r#","stats":"#);
            tail.push_str(stats);
        }
        tail.push('}');
        write_notes(&mut tail, warnings, infos);
        tail.push('}');
        AnswerText { head, items, first: true, tail: Some(tail) }
    }

    /// Appends the next series; `false` if there is none.
    fn write_next(&mut self, out: &mut String) -> bool {
        match &mut self.items {
            Items::None => return false,
            Items::Vector(samples) => {
                let Some(sample) = samples.next() else { return false };
                separate(out, &mut self.first);
                write_vector_sample(out, &sample);
            }
            Items::Matrix(matrix) => {
                let Some(series) = matrix.next() else { return false };
                separate(out, &mut self.first);
                write_series(out, &series);
            }
        }
        true
    }
}

fn separate(out: &mut String, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
}

impl Iterator for AnswerText {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.tail.as_ref()?;
        let mut chunk = std::mem::take(&mut self.head);
        while chunk.len() < CHUNK_BYTES {
            if !self.write_next(&mut chunk) {
                chunk.push_str(&self.tail.take()?);
                break;
            }
        }
        Some(chunk)
    }
}

/// `,"warnings":[…],"infos":[…]`, as far as there are any.
pub(crate) fn write_notes(out: &mut String, warnings: &[String], infos: &[String]) {
    for (name, notes) in [("warnings", warnings), ("infos", infos)] {
        if !notes.is_empty() {
            out.push_str(&format!(",\"{name}\":"));
            write_strings(out, notes.iter().map(String::as_str));
        }
    }
}

/// The response: with its length if it fits one chunk, else as a stream.
pub(crate) fn respond(mut text: AnswerText) -> Response {
    let first = text.next().unwrap_or_default();
    let body = if text.tail.is_none() {
        Body::from(first)
    } else {
        let chunks =
            std::iter::once(first).chain(text).map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        Body::from_stream(stream::iter(chunks))
    };
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};

    use super::*;

    fn text(value: Value) -> String {
        AnswerText::new(value, "", &[], &[]).collect()
    }

    fn series(name: &str, count: usize) -> Series {
        let floats = (0..count)
            .map(|i| FloatSample { at: Timestamp::from_millis(i as i64 * 1500), value: i as f64 / 4.0 })
            .collect();
        Series { labels: Labels::from([("__name__", name)]), floats, histograms: vec![] }
    }

    #[test]
    fn each_kind_of_result() {
        let at = Timestamp::from_millis(2500);
        assert_eq!(
            text(Value::Scalar { at, value: 1.0 }),
            r#"{"status":"success","data":{"resultType":"scalar","result":[2.500,"1"]}}"#
        );
        assert_eq!(
            text(Value::String { at, value: "a\"b".into() }),
            r#"{"status":"success","data":{"resultType":"string","result":[2.500,"a\"b"]}}"#
        );
        let labels = Labels::from([("__name__", "up"), ("path", "a\"\n\u{1}")]);
        let vector = vec![
            VectorSample { labels, at, value: 1.0.into() },
            VectorSample { labels: Labels::empty(), at, value: f64::NAN.into() },
        ];
        assert_eq!(
            text(Value::Vector(vector)),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","path":"a\"\n\u0001"},"value":[2.500,"1"]},{"metric":{},"value":[2.500,"NaN"]}]}}"#
        );
        assert_eq!(
            text(Value::Matrix(vec![series("a", 2)])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"a"},"values":[[0,"0"],[1.500,"0.25"]]}]}}"#
        );
        assert_eq!(
            text(Value::Matrix(vec![])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
        );
    }

    #[test]
    fn what_is_said_beside_it() {
        let value = Value::Vector(vec![]);
        let text: String =
            AnswerText::new(value, "{\"a\":1}", &["w \"1\"".into()], &["i".into(), "j".into()]).collect();
        assert_eq!(
            text,
            r#"{"status":"success","data":{"resultType":"vector","result":[],"stats":{"a":1}},"warnings":["w \"1\""],"infos":["i","j"]}"#
        );
    }

    #[test]
    fn a_large_matrix_comes_in_chunks() {
        let matrix: Vec<Series> = (0..50).map(|i| series(&format!("m{i}"), 1000)).collect();
        let chunks: Vec<String> = AnswerText::new(Value::Matrix(matrix), "", &[], &[]).collect();
        assert!(chunks.len() > 5, "{}", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.len() < 2 * CHUNK_BYTES));
        let json: serde_json::Value = serde_json::from_str(&chunks.concat()).unwrap();
        let result = json["data"]["result"].as_array().unwrap();
        assert_eq!(result.len(), 50);
        assert!(result.iter().all(|series| series["values"].as_array().unwrap().len() == 1000));
    }
}
