//! The template language of annotations and messages: the one of Go's `text/template`, which users of the field know,
//! with the functions of rules and of notifications.
//!
//! In: a text and the data it is about. Out: the text filled in, or where it is wrong.
//! Not here: which notifier asks, time of day (`now` is an argument), queries (the caller answers them).
//! Start at [`RuleTemplate`] for rules and at [`Templates`] for messages.

mod error;
mod notification;
mod rule;
mod set;

pub use error::TemplateError;
pub use notification::NotificationData;
pub use rule::{RuleData, RuleEnv, RuleTemplate, expand_rule};
pub use set::{Templates, default_templates};
