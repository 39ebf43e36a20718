//! One iterator for all formats.

use crate::native::ClassicToNative;
use crate::protobuf::ProtobufParser;
use crate::start_times::StartTimes;
use crate::text::TextParser;
use crate::{Entry, Format, ParseError};

/// What to make of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether native histograms are given out; otherwise such histograms are read as classic ones.
    pub native_histograms: bool,
    /// Whether the classic samples of a histogram are given out beside its native form
    /// (`always_scrape_classic_histograms`).
    pub keep_classic: bool,
    /// Whether classic histograms become native ones with custom bounds (`convert_classic_histograms_to_nhcb`).
    pub convert_classic: bool,
    /// Whether start times are given out; `_created` samples are then left out.
    pub start_times: bool,
}

impl Default for Options {
    /// Native histograms as they come, nothing converted.
    fn default() -> Self {
        Options { native_histograms: true, keep_classic: false, convert_classic: false, start_times: false }
    }
}

/// The entries of a body in order; the last one may be an error.
#[derive(Debug)]
pub struct Parser<'a> {
    inner: Plain<'a>,
}

#[derive(Debug)]
enum Plain<'a> {
    Text(TextParser<'a>),
    WithStartTimes(Box<StartTimes<'a>>),
    Protobuf(Box<ProtobufParser<'a>>),
    Converted(Box<ClassicToNative<'a, Parser<'a>>>),
}

/// Reads `bytes`. Costs nothing before the first entry is asked for; text is not copied.
pub fn parse<'a>(bytes: &'a [u8], format: Format, options: &Options) -> Parser<'a> {
    let inner = match format {
        Format::Protobuf => Plain::Protobuf(Box::new(ProtobufParser::new(bytes, *options))),
        Format::OpenMetrics if options.start_times => {
            Plain::WithStartTimes(Box::new(StartTimes::new(TextParser::new(bytes, format))))
        }
        Format::OpenMetrics | Format::PrometheusText => Plain::Text(TextParser::new(bytes, format)),
    };
    let parser = Parser { inner };
    if options.convert_classic {
        Parser { inner: Plain::Converted(Box::new(ClassicToNative::new(parser, options.keep_classic))) }
    } else {
        parser
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Plain::Text(inner) => inner.next(),
            Plain::WithStartTimes(inner) => inner.next(),
            Plain::Protobuf(inner) => inner.next(),
            Plain::Converted(inner) => inner.next(),
        }
    }
}
