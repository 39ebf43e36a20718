//! The turn of a message has come that waited, for room or after an attempt that failed: what goes out is what holds now.
//!
//! What certainly did not arrive is decided anew, as if it had never been: muted alerts are left out, newer ones join, and
//! nothing is said if nothing is left to say. What may have arrived, for want of an answer or because the process was
//! started since, is said again as the same message, without what was muted since; anything newer follows when its outcome
//! is known. When it has had its time it counts as given up.

use crate::alerting::Alerting;
use crate::flush::give_up_after;
use crate::group::GroupId;
use crate::notification_log::Destination;
use crate::timers::Timer;
use crate::{AlertingConfig, Decision, Effect, Few, Integration, Receiver, Route, Turn};

/// What a message that waits stands for, as far as the configuration still knows it.
struct Place<'a> {
    group: GroupId,
    route: &'a Route,
    receiver: &'a Receiver,
    integration: &'a Integration,
}

impl Alerting {
    pub(crate) fn turn(&mut self, turn: Turn) {
        let Turn { notification: id, dedup_key, to, may_have_arrived } = turn;
        let withdraw = Effect::Withdraw { dedup_key, to: to.clone() };
        match self.deliveries.get(&id) {
            // Nobody knows of it any more.
            None => return self.effects.push(withdraw),
            // It goes out anyway, as soon as that is durable.
            Some(delivery) if delivery.message.is_some() => return,
            Some(_) => {}
        }
        let Some(delivery) = self.deliveries.remove(&id) else { return };
        self.timers.clear(&Timer::Delivery(id.clone()));
        let (key, config) = (delivery.group, self.config.clone());
        let group = self.groups.find(&key);
        let attempt = self.log.get_mut(&key, &to).and_then(|entry| entry.attempt.as_mut());
        let (decided, in_doubt) = attempt.map_or((self.now, false), |attempt| {
            attempt.in_doubt |= may_have_arrived;
            (attempt.at, attempt.in_doubt)
        });
        let now = self.now;
        let too_old = |route: &Route| decided + give_up_after(route) < now;
        let place = group.and_then(|group| self.place(group, &to, &config));
        if let Some(place) = &place {
            let visible = self.observe(place.group, &config, place.route);
            if in_doubt && !too_old(place.route) && self.send_again(place.group, place.route, &to, &visible) {
                return;
            }
            if let Some(entry) = self.log.get_mut(&key, &to) {
                match in_doubt {
                    true => entry.failed = entry.attempt.take().or(entry.failed.take()),
                    false => entry.waited = entry.attempt.take(),
                }
            }
            self.groups.get_mut(place.group).missed.retain(|missed| *missed != to);
            self.plan(place.group, place.route, place.receiver, place.integration, &visible);
        }
        let under_way = match self.log.get_mut(&key, &to) {
            Some(entry) => {
                entry.waited = None;
                if place.is_none() {
                    let gone = entry.attempt.take();
                    entry.failed = gone.filter(|_| in_doubt).or(entry.failed.take());
                }
                entry.attempt.is_some()
            }
            None => false,
        };
        let same = self.deliveries.contains_key(&id);
        if !same {
            self.decide(&key, &to, Few::new(), Decision::Withdrawn { notification: id });
        }
        if !under_way {
            self.write_log(&key, &to);
            self.effects.push(withdraw);
        }
        if let Some(group) = group {
            self.release(group, &config);
        }
    }

    /// The integration, if its group still tells it.
    fn place<'a>(&self, group: GroupId, to: &Destination, config: &'a AlertingConfig) -> Option<Place<'a>> {
        let route = config.routes.route(self.groups.get(group).route);
        let receiver = config.receiver(&to.receiver).filter(|receiver| receiver.name == route.receiver)?;
        let one = |integration: &&Integration| integration.kind == to.kind && integration.index == to.index;
        let integration = receiver.integrations.iter().find(one)?;
        Some(Place { group, route, receiver, integration })
    }
}
