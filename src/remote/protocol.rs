//! Which message a request carries, from its headers.

/// The message of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`, of remote write 1.0.
    V1,
    /// `io.prometheus.write.v2.Request`, of remote write 2.0.
    V2,
}

const MEDIA_TYPE: &str = "application/x-protobuf";
const V1_MESSAGE: &str = "prometheus.WriteRequest";
const V2_MESSAGE: &str = "io.prometheus.write.v2.Request";

impl Protocol {
    /// What `Content-Type` announces. Old senders send none and mean 1.0. The error is for a person.
    pub(crate) fn from_content_type(content_type: Option<&str>) -> Result<Protocol, String> {
        let Some(content_type) = content_type.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Protocol::V1);
        };
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(format!("content type `{media_type}` is not supported; send `{MEDIA_TYPE}`"));
        }
        let proto = parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim() == "proto");
        match proto.map(|(_, message)| message.trim().trim_matches('"')) {
            None | Some(V1_MESSAGE) => Ok(Protocol::V1),
            Some(V2_MESSAGE) => Ok(Protocol::V2),
            Some(other) => {
                Err(format!("message `{other}` is not supported; `{V1_MESSAGE}` and `{V2_MESSAGE}` are"))
            }
        }
    }
}

/// Whether `Content-Encoding` is the one that there is. Old senders send none and mean it. The error is for a person.
pub(crate) fn check_encoding(encoding: Option<&str>) -> Result<(), String> {
    match encoding.map(str::trim) {
        None | Some("") => Ok(()),
        Some(snappy) if snappy.eq_ignore_ascii_case("snappy") => Ok(()),
        Some(other) => Err(format!("content encoding `{other}` is not supported; send `snappy`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_which_message_it_is() {
        for (content_type, protocol) in [
            (None, Some(Protocol::V1)),
            (Some(""), Some(Protocol::V1)),
            (Some("application/x-protobuf"), Some(Protocol::V1)),
            (Some("application/x-protobuf;proto=prometheus.WriteRequest"), Some(Protocol::V1)),
            (
                Some("Application/X-Protobuf; charset=x; proto=io.prometheus.write.v2.Request"),
                Some(Protocol::V2),
            ),
            (Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), None),
            (Some("application/json"), None),
            (Some("application/x-protobuf-delimited"), None),
        ] {
            assert_eq!(Protocol::from_content_type(content_type).ok(), protocol, "{content_type:?}");
        }
        for (encoding, accepted) in [
            (None, true),
            (Some("snappy"), true),
            (Some("SNAPPY"), true),
            (Some("gzip"), false),
            (Some("deflate"), false),
        ] {
            assert_eq!(check_encoding(encoding).is_ok(), accepted, "{encoding:?}");
        }
    }
}
