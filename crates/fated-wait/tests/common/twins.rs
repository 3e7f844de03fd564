//! One story through index and scan, compared act by act.

use super::rng::Rng;
use super::story::Act;
use super::world::World;
use fated_wait::*;

/// Plays a story on both; says where they differ.
pub fn differ(acts: &[Act], seed: u64) -> Option<String> {
    let mut index = World::new(LookupKind::Index, false);
    let mut scan = World::new(LookupKind::Scan, false);
    let mut rng = Rng(seed);
    // Now and then init dies in the middle, and its world goes on for as long as its owner lets it.
    let doom = seed.is_multiple_of(4).then_some(acts.len() / 2);
    for (at, &act) in acts.iter().enumerate() {
        if doom == Some(at) && index.end_init() != scan.end_init() {
            return Some("at the end of init".into());
        }
        let (a, b) = (index.play(act), scan.play(act));
        if a != b {
            return Some(format!("act {at} {act:?}\nindex: {a:?}\nscan:  {b:?}"));
        }
        for _ in 0..4 {
            let (caller, request) = probe(&mut rng, &index);
            let mut fx = Effects::new();
            let a = index.family.wait(caller, &request, &mut fx);
            let b = scan.family.wait(caller, &request, &mut fx);
            if a != b || fx != Effects::new() {
                return Some(format!(
                    "after act {at} {act:?}\n{caller} {request:?}\nindex: {a:?}\nscan:  {b:?}\n{fx:?}"
                ));
            }
        }
        check(&index.family, &mut rng);
    }
    None
}

/// A look without consequences by anybody for anything.
fn probe(rng: &mut Rng, world: &World) -> (Tid, WaitRequest) {
    let word = rng.next();
    let tids = world.family.tids();
    let any = |shift: u32| tids[(word >> shift & 0xff) as usize % tids.len()];
    let selector = match word % 4 {
        0 => Selector::Task(any(8)),
        1 => Selector::Group(world.family.pgid(any(8)).expect("there")),
        _ => Selector::Any,
    };
    let bit = |n: u32, option: u32| if word >> (32 + n) & 1 != 0 { option } else { 0 };
    let events = bit(0, WEXITED) | bit(1, WSTOPPED) | bit(2, WCONTINUED);
    let options = events | WNOWAIT | bit(3, __WALL) | bit(4, __WCLONE) | bit(5, __WNOTHREAD);
    (any(16), WaitRequest { selector, options, again: false })
}

/// What holds of every family at all times, looked at in a few of its tasks.
#[track_caller]
fn check(family: &Family, rng: &mut Rng) {
    let tids = family.tids();
    for _ in 0..4 {
        let tid = tids[rng.next() as usize % tids.len()];
        let pid = family.pid(tid).expect("every thread has a process");
        assert!(family.threads(pid).any(|thread| thread == tid), "{tid} is among its threads");
        assert!(!family.is_free(tid));
        if let Some(parent) = family.parent_thread(tid) {
            assert!(family.exists(parent), "the parent of {tid} is there");
            assert!(family.children(parent).any(|child| child == pid), "{pid} is among the children of {parent}");
        }
        if let Some(trace) = family.trace(tid) {
            assert!(family.tracees(trace.tracer).any(|tracee| tracee == tid));
        }
        let pgid = family.pgid(tid).expect("every thread has a group");
        assert!(family.members(pgid).any(|member| member == pid));
        assert_eq!(family.session_of(pgid), family.sid(tid), "a group is in one session");
        let zombie = family.state(tid) == Some(TaskState::Zombie);
        assert!(!zombie || family.children(tid).next().is_none() || Some(pid) == family.init_pid());
        assert!(!zombie || family.tracees(tid).next().is_none());
    }
}
