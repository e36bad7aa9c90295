//! How an operation's events are shown: a line for each step, and on a terminal a bar below them.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use api::schema::v1::{Event, event::Kind};
use cli::{Output, rounded};
use indicatif::{ProgressBar, ProgressStyle};

use super::current::state_line;

/// The length of the bar, in which fractions are shown.
const LENGTH: f64 = 1000.0;
/// How often the bar redraws its clock between events.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub struct Progress {
    output: Output,
    step_done: &'static str,
    bar: Option<ProgressBar>,
    /// When the current step began, on the operation's clock.
    step_began: Duration,
    /// The tenths of the whole that were printed.
    tenths: u32,
}

impl Progress {
    /// For an operation that is about to start. The bar is on standard error, where that is a
    /// terminal; lines go to standard output.
    pub fn new(output: Output, step_done: &'static str) -> Self {
        let bar = (!output.json && io::stderr().is_terminal()).then(new_bar);
        Self { output, step_done, bar, step_began: Duration::ZERO, tenths: 0 }
    }

    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        if self.output.json {
            return self.output.result(event, "");
        }
        let elapsed = event.elapsed.and_then(|e| Duration::try_from(e).ok()).unwrap_or_default();
        if event.kind() == Kind::StepStarted {
            self.step_began = elapsed;
        }
        if let Some(bar) = &self.bar {
            update_bar(bar, event);
        }
        match self.line(event, elapsed) {
            Some(line) => self.print(&line),
            None => Ok(()),
        }
    }

    fn print(&self, line: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.line(line)),
            None => self.output.line(line),
        }
    }

    fn line(&mut self, event: &Event, elapsed: Duration) -> Option<String> {
        let Event { revision, description, message, .. } = event;
        match event.kind() {
            Kind::StepFinished => {
                let took = elapsed.saturating_sub(self.step_began);
                Some(format!("{} {revision}, {description} ({})", self.step_done, rounded(took)))
            }
            Kind::StepRetried => Some(format!("retrying {revision}: {message}")),
            Kind::StepProgress if self.bar.is_none() => self.next_tenth(event),
            Kind::Finished => event.state.as_ref().map(state_line),
            Kind::Started | Kind::StepStarted | Kind::StepProgress | Kind::Unspecified => None,
        }
    }

    /// Without a bar, a step prints a line for each tenth of its way.
    fn next_tenth(&mut self, event: &Event) -> Option<String> {
        let tenths = (event.fraction.clamp(0.0, 1.0) * 10.0) as u32;
        (tenths > self.tenths).then(|| {
            self.tenths = tenths;
            format!("{} {}0 % {}", event.revision, tenths, event.message).trim_end().to_owned()
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(LENGTH as u64);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {elapsed} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("waiting for the schema service");
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}

fn update_bar(bar: &ProgressBar, event: &Event) {
    bar.set_position((event.fraction.clamp(0.0, 1.0) * LENGTH) as u64);
    let Event { revision, description, step, steps_total, message, .. } = event;
    if *step > 0 {
        let separator = if message.is_empty() { "" } else { ": " };
        bar.set_message(format!(
            "{step}/{steps_total} {revision}, {description}{separator}{message}"
        ));
    }
}
