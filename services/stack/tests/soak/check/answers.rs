//! Each bot answered each message that it receives once, unless the delivery is parked.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Known, Violations};
use crate::soak::bots::{always_fails, reply};

/// Deliveries, each a message and a bot.
#[derive(Default)]
pub struct Deliveries {
    pub all: usize,
    pub answered: usize,
    /// Parked because the bot always fails at the message.
    pub failing: usize,
    /// Parked although the bot could have answered: it failed by chance or was cut off.
    pub unlucky: Vec<(Uuid, String)>,
}

pub fn check(known: Known<'_>, violations: &mut Violations) -> Deliveries {
    let Known { setup, stored, settled } = known;
    let parked: HashSet<_> = stored.parked.iter().cloned().collect();
    let is_bot = |sender: &str| setup.bots.iter().any(|bot| bot.id == sender);
    let mut replies: HashMap<(Uuid, String), Vec<&str>> = HashMap::new();
    for row in stored.messages.iter().filter(|row| is_bot(&row.sender)) {
        let pair = (row.reply_to.unwrap_or_default(), row.sender.clone());
        replies.entry(pair).or_default().push(&row.body);
    }

    let mut pairs = Deliveries::default();
    let mut due = HashSet::new();
    for (chat, bot_id, since) in &stored.assignments {
        let bot = setup.bots.iter().find(|bot| bot.id == *bot_id).unwrap();
        let hears_bots = bot.r#type == "second";
        for row in stored.messages.iter().filter(|row| row.chat == *chat && row.position > *since) {
            if row.sender == *bot_id || (is_bot(&row.sender) && !hears_bots) {
                continue;
            }
            let pair = (row.id, bot_id.clone());
            due.insert(pair.clone());
            if row.position > settled.upto {
                continue;
            }
            pairs.all += 1;
            let processed = stored.processed.get(&pair);
            let sent = replies.get(&pair).map(Vec::as_slice).unwrap_or_default();
            let details = format!("{} by {}: {processed:?}, {sent:?}", row.id, bot.name);
            let fails = always_fails(bot, &row.body);
            if parked.contains(&pair) {
                let is_unanswered = processed.is_none() && sent.is_empty();
                violations.unless(is_unanswered, "a parked delivery was answered", &details);
                match fails {
                    true => pairs.failing += 1,
                    false => pairs.unlucky.push(pair),
                }
                continue;
            }
            pairs.answered += usize::from(processed.is_some());
            let expected = Some(reply(bot, row.id)).filter(|reply| !reply.is_empty());
            let once = processed == Some(&expected) && sent.iter().copied().eq(expected.as_deref());
            violations.unless(once && !fails, "a message was not answered exactly once", details);
        }
    }
    for pair in stored.processed.keys().chain(replies.keys()).chain(&parked) {
        let what = "a bot answered a message that it should not receive";
        violations.unless(due.contains(pair), what, format!("{pair:?}"));
    }
    let twice = stored.answers - stored.processed.len();
    violations.unless(twice == 0, "an answer is stored twice", twice);
    pairs
}
