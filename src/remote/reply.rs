//! What a sender is answered, with its numbers: all of the protocol but the socket.

use model::Timestamp;

use crate::protocol::{Protocol, check_encoding};
use crate::receiver::{Received, Receiver, WriteProblem, Written};

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status of HTTP.
    pub status: u16,
    /// Protocol 2.0 says how much was written, whatever the status is.
    pub written: Option<Written>,
    /// What went wrong; empty if nothing did.
    pub message: String,
}

impl Reply {
    /// A refusal before anything was read.
    fn refused(status: u16, message: String) -> Self {
        Reply { status, written: None, message }
    }

    /// The answer's own headers.
    pub fn headers(&self) -> Vec<(&'static str, usize)> {
        let counts = |written: Written| {
            [
                ("x-prometheus-remote-write-samples-written", written.samples),
                ("x-prometheus-remote-write-histograms-written", written.histograms),
                ("x-prometheus-remote-write-exemplars-written", written.exemplars),
            ]
        };
        self.written.into_iter().flat_map(counts).collect()
    }
}

/// The message that a request's headers announce, or the answer that refuses them.
pub fn accept(content_type: Option<&str>, content_encoding: Option<&str>) -> Result<Protocol, Reply> {
    let protocol = Protocol::from_content_type(content_type).map_err(|why| Reply::refused(415, why))?;
    check_encoding(content_encoding).map_err(|why| Reply::refused(415, why))?;
    Ok(protocol)
}

impl Receiver {
    /// Stores what a body holds, and what to answer.
    pub fn reply(&self, protocol: Protocol, body: &[u8], now: Timestamp) -> Reply {
        let Received { written, problem } = self.receive(protocol, body, now);
        let written = (protocol == Protocol::V2).then_some(written);
        let status = match &problem {
            None => 204,
            Some(WriteProblem::TooLarge(_)) => 413,
            Some(WriteProblem::Malformed(_) | WriteProblem::Refused(_)) => 400,
            // A sender tries again after this.
            Some(WriteProblem::Storage(_)) => 500,
        };
        Reply { status, written, message: problem.map(|problem| problem.to_string()).unwrap_or_default() }
    }
}
