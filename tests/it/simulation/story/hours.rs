//! R45: days with a tick at each hour, full runs and quick ones between them.

use std::time::Duration;

use cloud_sync::{
    domain::mode::{Depth, Mode, Trigger},
    engine::RunRequest,
};

use super::{
    super::{dice::Dice, process::Doom, stage::Weather},
    Errand, Outcome, Process, Story, on_stage,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Some days of ticks, mostly without faults, then a time without any.
pub(in super::super) fn play_hours(seed: u64, traced: bool) -> Outcome {
    on_stage(async {
        let mut story = Story::begin(seed, traced);
        let schedule = ("SYNC_SCHEDULE".to_owned(), "0 0 * * * *".to_owned());
        story.outside.settings.extend([schedule]);
        story.tell();
        let mut dice = Dice::new(seed, "hours");
        for _ in 0..dice.between(24, 50) {
            story.hour(&mut dice).await;
            if story.is_over() {
                break;
            }
        }
        if !story.is_over() {
            story.calm().await;
        }
        story.end()
    })
}

impl Story {
    async fn hour(&mut self, dice: &mut Dice) {
        tokio::time::sleep(HOUR).await;
        self.catch_up().await;
        self.check_health().await;
        for _ in 0..dice.below(3) {
            self.change_world();
        }
        let is_fair = dice.chance(75);
        let weather = if is_fair {
            Weather::default()
        } else {
            self.weather()
        };
        self.weather_is(weather, Duration::ZERO);
        let doom = match dice.below(12) {
            0 if !is_fair => Doom {
                killed_at_poll: Some(dice.between(1, 400)),
                ..Doom::default()
            },
            1 if !is_fair => Doom {
                writes_to_live: Some(u32::try_from(dice.between(1, 4)).unwrap()),
                ..Doom::default()
            },
            _ => Doom::default(),
        };
        let process = Process::start(&self.outside, 0, dice);
        // The host retries a tick that cannot read the state.
        let Some(depth) = process.depth_of_tick().await else {
            return;
        };
        let mut request = RunRequest {
            depth,
            ..RunRequest::new(Mode::Apply, Trigger::Timer)
        };
        let mut codes = Vec::new();
        if dice.chance(15) {
            // A person approves, possibly in a run of either kind.
            codes = std::mem::take(&mut self.offered);
            request.approve = codes.iter().map(|(code, _)| code.clone()).collect();
            request.trigger = Trigger::CommandLine;
            if dice.chance(30) {
                request.depth = Depth::Quick;
            }
        }
        let errand = Errand {
            slot: 0,
            request,
            codes,
            dooms: vec![doom],
            late: Duration::ZERO,
            warm: Some(process),
            dice: Dice::new(dice.next(), "process"),
        };
        let (_, _, told) = errand.carry_out(&self.outside).await;
        self.record_outcomes(told);
        self.check_journals().await;
    }
}
