//! Plugins behind the seams: the only code that implements `ports` for them.

mod collector;
mod notifier;
mod rule;

pub(crate) use collector::collector;
pub(crate) use notifier::notifier;
pub(crate) use rule::rule;
