//! Mistakes that can be switched on, to see whether the simulation finds them. Without the feature `planted-bugs` none
//! can, and the compiler removes every trace of them.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// That a message was delivered is not written down.
    ToldIsNotWritten,
    /// A silence is not written down.
    SilenceIsNotWritten,
    /// An alert is not written down.
    AlertIsNotWritten,
    /// A silence is confirmed before it is durable.
    SilenceIsConfirmedTooEarly,
    /// The integrations of a receiver share one entry of the notification log.
    IntegrationsShareTheLog,
    /// Inhibition does not look at the labels in `equal`.
    InhibitionIgnoresEqual,
    /// A silence still mutes at the moment at which it ends.
    SilenceEndsTooLate,
    /// A silence that is over goes on muting what it muted.
    SilenceNeverEnds,
    /// Time intervals mute nothing.
    TimeIntervalsAreIgnored,
    /// After a reload everything is told again.
    ReloadForgetsWhatWasTold,
    /// An end whose message was given up counts as told.
    EndIsLostWhenDeliveryFails,
    /// A message that was given up counts as delivered.
    FailureCountsAsDelivered,
    /// While a message is under way the next one is sent.
    SecondMessageWhileUnderWay,
    /// What was under way at a restart goes out as another message.
    NewIdAfterRestart,
    /// A restart starts the wait of a group anew.
    GroupWaitsAgainAfterRestart,
    /// A restart takes silence of a sender for the end of its alerts.
    OutageEndsAlerts,
    /// A clock that is set back leaves the timers where they were.
    TimersStayWhenTheClockGoesBack,
    /// A failed evaluation finds nothing, instead of saying nothing.
    FailedEvaluationFindsNothing,
    /// `keep_firing_for` is ignored.
    KeepFiringIsIgnored,
    /// A receiver that asks to wait is given up.
    WaitingIsGivingUp,
    /// A message that waited for its next attempt goes out as it was decided.
    OldContentAfterWaiting,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [PlantedBug; 21] = [
        PlantedBug::ToldIsNotWritten,
        PlantedBug::SilenceIsNotWritten,
        PlantedBug::AlertIsNotWritten,
        PlantedBug::SilenceIsConfirmedTooEarly,
        PlantedBug::IntegrationsShareTheLog,
        PlantedBug::InhibitionIgnoresEqual,
        PlantedBug::SilenceEndsTooLate,
        PlantedBug::SilenceNeverEnds,
        PlantedBug::TimeIntervalsAreIgnored,
        PlantedBug::ReloadForgetsWhatWasTold,
        PlantedBug::EndIsLostWhenDeliveryFails,
        PlantedBug::FailureCountsAsDelivered,
        PlantedBug::SecondMessageWhileUnderWay,
        PlantedBug::NewIdAfterRestart,
        PlantedBug::GroupWaitsAgainAfterRestart,
        PlantedBug::OutageEndsAlerts,
        PlantedBug::TimersStayWhenTheClockGoesBack,
        PlantedBug::FailedEvaluationFindsNothing,
        PlantedBug::KeepFiringIsIgnored,
        PlantedBug::WaitingIsGivingUp,
        PlantedBug::OldContentAfterWaiting,
    ];

    /// Whether this thread makes the mistake.
    #[cfg(feature = "planted-bugs")]
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    /// Never, in a program that is to be used.
    #[cfg(not(feature = "planted-bugs"))]
    pub const fn is_planted(self) -> bool {
        false
    }

    /// From here on this thread makes this mistake, or none.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(bug: Option<PlantedBug>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<PlantedBug>> = const { std::cell::Cell::new(None) };
}
