//! The template language of annotations and messages: the one of Go's `text/template`, which users of the field know,
//! with the functions of rules and of notifications.
//!
//! In: a text and the data it is about. Out: the text filled in, or where it is wrong.
//! Not here: which notifier asks, time of day (`now` is an argument), queries (the caller answers them).
//! Start at [`RuleTemplate`] for rules and at [`Templates`] for messages.

mod case;
mod error;
mod humanize;
mod language;
mod notification;
mod notification_functions;
mod rule;
mod rule_functions;
mod set;
mod trial;

pub use error::TemplateError;
pub use language::builtin::query_escape;
pub use notification::{AlertFields, NotificationData, NotificationFields};
pub use rule::{RuleData, RuleEnv, RuleTemplate, expand_rule, try_rule_text};
pub use set::{Templates, default_templates};
pub use trial::{PlainData, Trial};

#[cfg(test)]
mod tables;
