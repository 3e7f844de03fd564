//! Two hosts that are driven by turns, each up to a horizon: their clocks stay together, and what happens on each is the same as if
//! it ran alone, whoever goes first and however wide the window is.

use crate::stories::{Engine, Story, Told, config_of, tell};
use crate::world::{BASE, World, config, first};
use fated_kernel::arch::Call;
use fated_kernel::config::Config;
use fated_kernel::host::{Ending, Next};
use fated_kernel::ports::Stop;
use linux_raw_sys::general as nr;

/// Tells two stories at once. `first` is told first; neither gets farther ahead of the other than `window` nanoseconds.
fn together(configs: [Config; 2], engine: Engine, first: usize, window: u64) -> [Told; 2] {
    let mut stories = configs.map(|config| Story::new(config, engine));
    let reached = |stories: &[Story; 2]| [0, 1].map(|at| stories[at].world.kernel.reached());
    // Both start where the later one does.
    let start = reached(&stories).into_iter().max();
    for story in &mut stories {
        story.go_on(start);
    }
    let order = [first, 1 - first];
    loop {
        let mut moves = false;
        for at in order {
            let other = 1 - at;
            let horizon = (!stories[other].over).then(|| reached(&stories)[other] + window);
            let (before, records) = (reached(&stories)[at], stories[at].records());
            let until = stories[at].go_on(horizon);
            let times = stories[at].times_of_records(records);
            assert!(times.iter().all(|&time| time > before), "{times:?} after it had reached {before}");
            moves |= stories[at].over || until.flatten().is_some();
            let [one, two] = reached(&stories);
            assert!(horizon.is_none_or(|at| at >= stories[1 - other].world.kernel.timers.now()));
            assert!(one.abs_diff(two) <= window || stories.iter().any(|story| story.over), "{one} and {two}");
        }
        if stories.iter().all(|story| story.over) {
            break;
        }
        if !moves {
            // All tasks of both hosts wait for ever.
            stories.iter_mut().for_each(|story| assert_eq!(story.go_on(None), None));
        }
    }
    stories.map(Story::told)
}

#[test]
fn neither_order_nor_window_change_what_happens() {
    for seed in (1..=72).step_by(2) {
        let engine = if seed % 4 == 1 { Engine::Asks } else { Engine::Answers };
        let configs = || [config_of(seed), config_of(seed + 1)];
        let alone = configs().map(|config| tell(config, engine));
        for window in [1000, 1001, 2500, 40_000, 3_000_000] {
            for first in [0, 1] {
                let both = together(configs(), engine, first, window);
                assert!(both == alone, "seed {seed}, window {window}, {first} first");
            }
        }
    }
}

fn call(number: u32, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number: number.into(), args: all }
}

const PAUSE: u32 = nr::__NR_pause;
const COST: u64 = 1000;

#[test]
fn a_task_stops_before_its_call_would_end_beyond_the_horizon() {
    let world = World::configured(Config { slice_calls: 100, ..config() }, World::nowhere(), World::nowhere(), false);
    let kernel = &world.kernel;
    let start = kernel.timers.now();
    assert_eq!(kernel.run_until(Some(start + COST - 1)), Next::Idle { until: Some(start + COST) });
    assert_eq!(kernel.reached(), start + COST - 1);
    assert_eq!(kernel.run_until(Some(start + 2 * COST)), Next::Run(first()));
    for _ in 0..2 {
        assert_eq!(kernel.run_until(Some(start + 2 * COST)), Next::Run(first()));
        kernel.stopped(first(), Stop::Call(call(nr::__NR_getpid, &[])));
    }
    assert_eq!(kernel.timers.now(), start + 2 * COST);
    let idle = Next::Idle { until: Some(start + 3 * COST) };
    assert_eq!(kernel.run_until(Some(start + 2 * COST)), idle);
    assert_eq!(kernel.run_until(Some(start + 2 * COST)), idle, "it can be asked again");
    assert_eq!(kernel.run_until(None), Next::Run(first()));
}

#[test]
fn time_jumps_to_a_timer_up_to_the_horizon() {
    let world = World::new();
    let kernel = &world.kernel;
    world.write(first(), BASE, &[0, 5 * COST].map(u64::to_le_bytes).concat());
    world.call(first(), nr::__NR_nanosleep, &[BASE, 0]);
    let slept = kernel.timers.now();
    let due = slept + 5 * COST;
    assert_eq!(kernel.run_until(Some(due - 1)), Next::Idle { until: Some(due) });
    assert_eq!((kernel.timers.now(), kernel.reached()), (slept, due - 1));
    assert_eq!(kernel.run_until(Some(due)), Next::Idle { until: Some(due + COST) }, "it has woken, and can't call yet");
    assert_eq!(kernel.timers.now(), due);
    assert_eq!(kernel.run_until(Some(due + COST)), Next::Run(first()));
}

#[test]
fn a_host_whose_tasks_all_wait_for_ever_is_stuck_only_alone() {
    let world = World::new();
    world.call(first(), PAUSE, &[]);
    let kernel = &world.kernel;
    let horizon = kernel.timers.now() + 1_000_000;
    assert_eq!(kernel.run_until(Some(horizon)), Next::Idle { until: None });
    assert_eq!(kernel.reached(), horizon);
    assert!(matches!(kernel.run_until(None), Next::Finished(Ending::Deadlock(_))));
}

#[test]
fn readings_of_the_clock_end_at_the_horizon() {
    let world = World::configured(Config { slice_calls: 1000, ..config() }, World::nowhere(), World::nowhere(), true);
    let kernel = &world.kernel;
    let start = kernel.timers.now();
    let horizon = Some(start + 10 * COST + 1);
    assert_eq!(kernel.run_until(horizon), Next::Run(first()));
    let read = call(nr::__NR_clock_gettime, &[0, BASE]);
    let cx = kernel.turn().unwrap();
    assert_eq!(cx.answer(read), Some(0));
    let ahead = cx.readings_ahead();
    assert_eq!(ahead, 8, "one more is for the call that ends the turn");
    cx.readings_made(ahead);
    assert_eq!(cx.answer(read), None);
    drop(cx);
    assert_eq!(kernel.timers.now(), start + 10 * COST);
    assert_eq!(kernel.run_until(horizon), Next::Idle { until: Some(start + 11 * COST) });
}
