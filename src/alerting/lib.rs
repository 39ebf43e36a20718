//! The `alerting` room.

mod group_key;
mod matcher;

pub use matcher::{
    MatcherMode, MatcherSyntaxError, match_re, matcher_text, matchers_text, parse_matcher, parse_matchers,
    sort_matchers,
};
