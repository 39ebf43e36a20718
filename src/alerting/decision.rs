//! What was decided and why, every "no" included. The timeline and `explain` are this stream, written down and read back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use model::{Fingerprint, NotifyReason, Timestamp};

use crate::{Few, SilenceId};

/// Why something is not told although it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MuteReason {
    /// By these silences.
    Silenced(Vec<SilenceId>),
    /// By another alert.
    Inhibited {
        /// Fingerprint of the alert that mutes.
        by: Fingerprint,
        /// Name of the rule; may be empty.
        rule: String,
    },
    /// By time intervals of the route: muted inside them, or outside all of its active ones.
    TimeInterval(Vec<String>),
}

impl fmt::Display for MuteReason {
    /// As people read it: `silenced by 6f…`, `inhibited by 1a… (rule node-down)`, `time interval nights`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silenced(silences) => {
                out.write_str("silenced by ")?;
                listed(out, silences)
            }
            Self::Inhibited { by, rule } if rule.is_empty() => write!(out, "inhibited by {by}"),
            Self::Inhibited { by, rule } => write!(out, "inhibited by {by} (rule {rule})"),
            Self::TimeInterval(names) => {
                out.write_str("time interval ")?;
                listed(out, names)
            }
        }
    }
}

fn listed(out: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}

/// Why an integration is not told although alerts are there to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Nothing changed since the last message, and it is not yet time to repeat it.
    Unchanged {
        /// A flush after this time repeats it.
        repeat_after: Timestamp,
    },
    /// Every alert ended before anybody was told of it.
    NeverTold,
    /// The last alert ended, and the integration does not want to hear of it; noted without a message.
    ResolvedNotWanted,
    /// Everything in the group is muted.
    AllMuted,
    /// The last message is still under way; the newest content follows it.
    InFlight,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged { repeat_after } => write!(out, "nothing changed; repeated after {repeat_after}"),
            Self::NeverTold => out.write_str("ended before anybody was told"),
            Self::ResolvedNotWanted => out.write_str("ended, and send_resolved is off"),
            Self::AllMuted => out.write_str("everything is held back"),
            Self::InFlight => out.write_str("the last message is still under way"),
        }
    }
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// From here on, the alert is not told.
    Muted(MuteReason),
    /// From here on, the alert is told again.
    Unmuted,
    /// The alert ended while muted: receivers that know of it are not told.
    EndedMuted,
    /// The integration is told.
    Send {
        /// Id of the notification.
        notification: Arc<str>,
        /// Why.
        reason: NotifyReason,
        /// Whether this is a message from before a restart, whose outcome is not known; the id is the same.
        again: bool,
    },
    /// The integration is not told.
    Skip(SkipReason),
    /// The other side accepted a notification.
    Delivered {
        /// Id of the notification.
        notification: Arc<str>,
    },
    /// A notification was given up; the next flush tries again.
    Failed {
        /// Id of the notification.
        notification: Arc<str>,
        /// What happened.
        message: String,
    },
    /// A notification that waited is not sent as it was decided; what follows says what is instead, and why.
    Withdrawn {
        /// Id of the notification.
        notification: Arc<str>,
    },
    /// A notification goes out although it could not be written down first; a crash now could repeat it.
    Unrecorded {
        /// Id of the notification.
        notification: Arc<str>,
        /// What happened.
        message: String,
    },
}

/// A decision, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// When.
    pub at: Timestamp,
    /// The group's key: unique and stable across restarts.
    pub group: Arc<str>,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The integration, if it is about one: kind and position.
    pub integration: Option<(Arc<str>, usize)>,
    /// The alerts it is about: one for mutes, those of the message for sends.
    pub alerts: Few<Fingerprint>,
    /// What was decided.
    pub decision: Decision,
}

/// How many decisions wait for the shell; when it does not take them, the oldest are dropped and counted.
const DECISIONS_MAX: usize = 10_000;

/// Decisions that nobody took yet.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    waiting: VecDeque<DecisionRecord>,
    dropped: u64,
}

impl Decisions {
    pub(crate) fn push(&mut self, record: DecisionRecord) {
        if self.waiting.len() == DECISIONS_MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(record);
    }

    pub(crate) fn take(&mut self) -> (Vec<DecisionRecord>, u64) {
        (std::mem::take(&mut self.waiting).into(), std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_words() {
        let silences = ["a1", "b2"].map(SilenceId::new).to_vec();
        let by = Fingerprint(0xff);
        for (reason, text) in [
            (MuteReason::Silenced(silences[..1].to_vec()), "silenced by a1"),
            (MuteReason::Silenced(silences), "silenced by a1, b2"),
            (MuteReason::Inhibited { by, rule: String::new() }, "inhibited by 00000000000000ff"),
            (
                MuteReason::Inhibited { by, rule: "node-down".to_owned() },
                "inhibited by 00000000000000ff (rule node-down)",
            ),
            (MuteReason::TimeInterval(vec!["nights".to_owned()]), "time interval nights"),
        ] {
            assert_eq!(reason.to_string(), text);
        }
        let repeat_after = Timestamp::from_secs(0);
        let text = SkipReason::Unchanged { repeat_after }.to_string();
        assert_eq!(text, format!("nothing changed; repeated after {repeat_after}"));
    }
}
