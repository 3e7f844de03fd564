//! What a process has set about itself with prctl(2), personality(2) and membarrier(2), or through `/proc/PID`, and what of that has no
//! other effect than to be kept, inherited and reported.

use core::cell::Cell;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// personality(2).
    Personality,
    /// `/proc/PID/oom_score_adj`, a signed number.
    OomScoreAdj,
    /// The commands that membarrier(2) has been registered for.
    Membarriers,
    /// `PR_SET_DUMPABLE`.
    Dumpable,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivs,
    /// `PR_SET_THP_DISABLE`.
    ThpDisable,
    /// `PR_SET_PTRACER`.
    Ptracer,
}

const COUNT: usize = Setting::Ptracer as usize + 1;

/// The timer slack of the first process.
const TIMER_SLACK_NS: u64 = 50_000;

/// The timer slack of a task in nanoseconds (`PR_SET_TIMERSLACK`): its present one, and the one that its maker had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerSlack {
    /// What it is.
    pub now: u64,
    default: u64,
}

impl Default for TimerSlack {
    fn default() -> TimerSlack {
        TimerSlack { now: TIMER_SLACK_NS, default: TIMER_SLACK_NS }
    }
}

impl TimerSlack {
    /// What a new task of this one has.
    #[must_use]
    pub fn inherited(self) -> TimerSlack {
        TimerSlack { default: self.now, ..self }
    }

    /// Sets it; 0 stands for the default.
    #[must_use]
    pub fn with(self, ns: u64) -> TimerSlack {
        TimerSlack { now: if ns == 0 { self.default } else { ns }, ..self }
    }
}

/// The settings of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings([Cell<u64>; COUNT]);

impl Setting {
    const fn initial(self) -> u64 {
        match self {
            Setting::Dumpable => 1,
            _ => 0,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        let settings = Settings([const { Cell::new(0) }; COUNT]);
        settings.reset(Setting::Dumpable);
        settings
    }
}

impl Settings {
    /// What a setting is.
    #[must_use]
    pub fn get(&self, setting: Setting) -> u64 {
        self.0.get(setting as usize).map_or(0, Cell::get)
    }

    /// Changes a setting.
    pub fn set(&self, setting: Setting, value: u64) {
        if let Some(cell) = self.0.get(setting as usize) {
            cell.set(value);
        }
    }

    fn reset(&self, setting: Setting) {
        self.set(setting, setting.initial());
    }

    /// An exec drops what belongs to the old program.
    pub(crate) fn exec(&self) {
        for setting in [Setting::Membarriers, Setting::Dumpable, Setting::Ptracer] {
            self.reset(setting);
        }
    }

    /// Whether uname(2) shows the process a 32-bit machine (`PER_LINUX32`).
    #[must_use]
    pub fn is_linux32(&self) -> bool {
        const PER_MASK: u64 = 0xff;
        const PER_LINUX32: u64 = 8;
        self.get(Setting::Personality) & PER_MASK == PER_LINUX32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_keeps_what_is_the_process_s() {
        let settings = Settings::default();
        for setting in [Setting::Dumpable, Setting::Ptracer, Setting::Personality, Setting::NoNewPrivs] {
            settings.set(setting, 8);
        }
        settings.exec();
        assert_eq!([Setting::Dumpable, Setting::Ptracer].map(|setting| settings.get(setting)), [1, 0]);
        assert!(settings.is_linux32() && settings.get(Setting::NoNewPrivs) == 8);
        let slack = TimerSlack::default().with(7).inherited();
        assert_eq!((slack.now, slack.with(9).with(0).now), (7, 7));
    }
}
