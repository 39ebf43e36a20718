//! Foghorn's log, with the plugin's name and the call's trace id. At most 100 lines of 4 KiB a call.

use crate::host;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// An action took effect.
    Info,
    /// It went wrong, and the plugin went on.
    Warn,
    /// Someone must act.
    Error,
}

/// One line with facts beside it.
pub fn write(level: Level, message: impl AsRef<str>, fields: &[(&str, &str)]) {
    host::log(level, message.as_ref(), fields);
}

/// A line for the plugin's author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message, &[]);
}

/// A line for people who read along.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message, &[]);
}

/// A line about something that went wrong without stopping the plugin.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message, &[]);
}

/// A line that asks someone to act.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message, &[]);
}
