//! What a target may be asked to speak.

use std::fmt::Write as _;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/plain`, 0.0.4 and 1.0.0.
    PrometheusText,
    /// `application/openmetrics-text`.
    OpenMetrics,
    /// `application/vnd.google.protobuf`: length-delimited `MetricFamily` messages.
    Protobuf,
}

/// A format and its version, as `scrape_protocols` of the configuration names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PrometheusProto`
    PrometheusProto,
    /// `PrometheusText0.0.4`
    PrometheusText0_0_4,
    /// `PrometheusText1.0.0`
    PrometheusText1_0_0,
    /// `OpenMetricsText0.0.1`
    OpenMetricsText0_0_1,
    /// `OpenMetricsText1.0.0`
    OpenMetricsText1_0_0,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Protocol; 5] = [
        Protocol::PrometheusProto,
        Protocol::PrometheusText0_0_4,
        Protocol::PrometheusText1_0_0,
        Protocol::OpenMetricsText0_0_1,
        Protocol::OpenMetricsText1_0_0,
    ];

    /// What is asked for unless the configuration says otherwise, best first.
    pub const DEFAULT: [Protocol; 4] = [
        Protocol::OpenMetricsText1_0_0,
        Protocol::OpenMetricsText0_0_1,
        Protocol::PrometheusText1_0_0,
        Protocol::PrometheusText0_0_4,
    ];

    /// The same when native histograms are wanted, which only protobuf carries.
    pub const DEFAULT_NATIVE: [Protocol; 5] = [
        Protocol::PrometheusProto,
        Protocol::OpenMetricsText1_0_0,
        Protocol::OpenMetricsText0_0_1,
        Protocol::PrometheusText1_0_0,
        Protocol::PrometheusText0_0_4,
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::PrometheusProto => "PrometheusProto",
            Protocol::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Protocol::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Protocol::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Protocol::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The protocol of this name in the configuration.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// How its bodies are read.
    pub fn format(self) -> Format {
        match self {
            Protocol::PrometheusProto => Format::Protobuf,
            Protocol::PrometheusText0_0_4 | Protocol::PrometheusText1_0_0 => Format::PrometheusText,
            Protocol::OpenMetricsText0_0_1 | Protocol::OpenMetricsText1_0_0 => Format::OpenMetrics,
        }
    }

    fn media_range(self) -> &'static str {
        match self {
            Protocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Protocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Protocol::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Protocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Protocol::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// Whether the media range says how names outside the classic character set are written.
    fn negotiates_escaping(self) -> bool {
        matches!(
            self,
            Protocol::PrometheusProto | Protocol::PrometheusText1_0_0 | Protocol::OpenMetricsText1_0_0
        )
    }
}

/// The `Accept` header that asks for `protocols`, the first one most of all; anything else is taken last.
/// `escaping` is the scheme for names outside the classic character set: `allow-utf-8`, `underscores`, `dots`, `values`.
pub fn accept_header(protocols: &[Protocol], escaping: &str) -> String {
    let mut header = String::new();
    let mut weight = protocols.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_range());
        if protocol.negotiates_escaping() {
            let _ = write!(header, ";escaping={escaping}");
        }
        let _ = write!(header, ";q=0.{weight},");
        weight -= 1;
    }
    let _ = write!(header, "*/*;q=0.{weight}");
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_the_first_protocol_most() {
        assert_eq!(
            accept_header(&Protocol::DEFAULT, "allow-utf-8"),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
        assert_eq!(
            accept_header(&[Protocol::PrometheusText0_0_4], "underscores"),
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
    }

    #[test]
    fn reads_its_own_names() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("prometheusproto"), None);
    }
}
