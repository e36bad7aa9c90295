//! Each message was answered once by each bot that hears it, unless it is parked.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Faults, Known};
use crate::soak::bots::{fails_at, reply};

/// Messages and their bots.
#[derive(Default)]
pub struct Pairs {
    pub all: usize,
    pub answered: usize,
    /// At these their bot fails each time.
    pub poisoned: usize,
    /// These are parked though their bot would have answered: it failed by chance, or was cut off.
    pub unlucky: Vec<(Uuid, String)>,
}

/// Holds answers against messages.
pub fn check(known: Known<'_>, faults: &mut Faults) -> Pairs {
    let Known { stage, stored, settled } = known;
    let parked: HashSet<_> = stored.parked.iter().cloned().collect();
    let is_bot = |sender: &str| stage.bots.iter().any(|bot| bot.id == sender);
    let mut replies: HashMap<(Uuid, String), Vec<&str>> = HashMap::new();
    for row in stored.messages.iter().filter(|row| is_bot(&row.sender)) {
        let pair = (row.reply_to.unwrap_or_default(), row.sender.clone());
        replies.entry(pair).or_default().push(&row.body);
    }

    let mut pairs = Pairs::default();
    let mut due = HashSet::new();
    for (chat, bot_id, since) in &stored.seats {
        let bot = stage.bots.iter().find(|bot| bot.id == *bot_id).unwrap();
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
            let said = replies.get(&pair).map(Vec::as_slice).unwrap_or_default();
            let tell = format!("{} by {}: {processed:?}, {said:?}", row.id, bot.name);
            let fails = fails_at(bot, &row.body);
            if parked.contains(&pair) {
                let silent = processed.is_none() && said.is_empty();
                faults.unless(silent, "a message was answered, and is parked", &tell);
                match fails {
                    true => pairs.poisoned += 1,
                    false => pairs.unlucky.push(pair),
                }
                continue;
            }
            pairs.answered += usize::from(processed.is_some());
            let says = Some(reply(bot, row.id)).filter(|says| !says.is_empty());
            let once = processed == Some(&says) && said.iter().copied().eq(says.as_deref());
            faults.unless(once && !fails, "a message was not answered once, as said", tell);
        }
    }
    for pair in stored.processed.keys().chain(replies.keys()).chain(&parked) {
        let what = "a message was answered that was not the bot's to hear";
        faults.unless(due.contains(pair), what, format!("{pair:?}"));
    }
    let twice = stored.answers - stored.processed.len();
    faults.unless(twice == 0, "an answer is kept twice", twice);
    pairs
}
