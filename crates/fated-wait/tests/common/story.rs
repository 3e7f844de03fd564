//! A story is a list of acts; it is written as bytes, five for each act, and every string of bytes is a story.

use fated_wait::*;

/// Who acts or is acted on: an index into the cast, modulo its size.
pub type Role = u8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exits {
    Thread,
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Any,
    Task(Role),
    OwnGroup,
    GroupOf(Role),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub whom: Whom,
    /// For waitid: WEXITED, WNOWAIT count only there.
    pub waitid: bool,
    pub options: u32,
    pub pidfd: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Fork {
        by: Role,
        thread: bool,
        parent: bool,
        ptrace: bool,
        signal: Option<Signal>,
    },
    Exit {
        by: Role,
        code: u8,
        how: Exits,
    },
    Kill {
        target: Role,
    },
    /// SIGSTOP to one thread.
    Stop {
        target: Role,
    },
    Continue {
        target: Role,
    },
    Setpgid {
        by: Role,
        target: Role,
        to: Option<Role>,
    },
    Setsid {
        by: Role,
    },
    Subreaper {
        by: Role,
        on: bool,
    },
    Sigchld {
        by: Role,
        action: SigchldAction,
    },
    Pdeath {
        by: Role,
        signal: Option<Signal>,
    },
    Exec {
        by: Role,
    },
    Traceme {
        by: Role,
    },
    Attach {
        by: Role,
        target: Role,
    },
    Seize {
        by: Role,
        target: Role,
        exitkill: bool,
    },
    Interrupt {
        by: Role,
        target: Role,
    },
    Listen {
        by: Role,
        target: Role,
    },
    Cont {
        by: Role,
        target: Role,
        stop: bool,
    },
    Detach {
        by: Role,
        target: Role,
        stop: bool,
    },
    TraceKill {
        by: Role,
        target: Role,
    },
    TraceStop {
        target: Role,
        stop: TraceStop,
    },
    Usage {
        by: Role,
        units: u8,
    },
    Wait {
        by: Role,
        wait: Wait,
    },
    /// rt_sigtimedwait without a timeout for SIGCHLD.
    TakeSigchld {
        by: Role,
    },
}

pub const ACT_BYTES: usize = 5;

/// How often each act comes, in 256.
const WEIGHTS: [(u16, u8); 24] = [
    (44, 0),
    (14, 1),
    (6, 2),
    (6, 3),
    (14, 4),
    (14, 5),
    (8, 6),
    (3, 7),
    (4, 8),
    (4, 9),
    (2, 10),
    (5, 11),
    (6, 12),
    (6, 13),
    (8, 14),
    (7, 15),
    (5, 16),
    (16, 17),
    (5, 18),
    (2, 19),
    (6, 20),
    (2, 21),
    (63, 22),
    (6, 23),
];

pub fn decode(bytes: &[u8]) -> Vec<Act> {
    bytes.chunks_exact(ACT_BYTES).map(|chunk| act(chunk.try_into().expect("five bytes"))).collect()
}

fn act([what, by, target, x, y]: [u8; ACT_BYTES]) -> Act {
    let bit = |n: u8| x & (1 << n) != 0;
    let mut left = u16::from(what);
    let number = WEIGHTS.iter().find(|&&(weight, _)| left.checked_sub(weight).map(|rest| left = rest).is_none());
    match number.map_or(0, |&(_, number)| number) {
        0 => Act::Fork {
            by,
            thread: x % 4 == 1,
            parent: x % 8 == 2,
            ptrace: y % 8 == 1,
            signal: match y % 5 {
                0 => Signal::new(10),
                1 if bit(5) => None,
                _ => Some(Signal::SIGCHLD),
            },
        },
        1 => Act::Exit { by, code: y, how: Exits::Thread },
        2 => Act::Exit { by, code: y, how: Exits::Process },
        3 => Act::Kill { target },
        4 => Act::Stop { target },
        5 => Act::Continue { target },
        6 => Act::Setpgid { by, target, to: (x % 3 != 0).then_some(y) },
        7 => Act::Setsid { by },
        8 => Act::Subreaper { by, on: x % 4 != 0 },
        9 => {
            Act::Sigchld { by, action: SigchldAction { ignore: x % 3 == 0, no_wait: x % 5 == 0, no_stop: x % 7 == 0 } }
        }
        10 => Act::Pdeath { by, signal: [None, Some(Signal::SIGKILL), Signal::new(10)][x as usize % 3] },
        11 => Act::Exec { by },
        12 => Act::Traceme { by },
        13 => Act::Attach { by, target },
        14 => Act::Seize { by, target, exitkill: x % 4 == 0 },
        15 => Act::Interrupt { by, target },
        16 => Act::Listen { by, target },
        17 => Act::Cont { by, target, stop: x % 3 == 0 },
        18 => Act::Detach { by, target, stop: x % 3 == 0 },
        19 => Act::TraceKill { by, target },
        20 => Act::TraceStop {
            target,
            stop: match x % 4 {
                0 => TraceStop::Signal(Signal::new(10).expect("SIGUSR1")),
                1 => TraceStop::Syscall { good: true },
                2 => TraceStop::Syscall { good: false },
                _ => TraceStop::Event(1 + y % 7),
            },
        },
        21 => Act::Usage { by, units: y },
        22 => Act::Wait { by, wait: wait(target, x, y) },
        _ => Act::TakeSigchld { by },
    }
}

fn wait(target: Role, x: u8, y: u8) -> Wait {
    let waitid = y & 0x80 != 0;
    let flag = |on: bool, option: u32| if on { option } else { 0 };
    let options = flag(x & 3 != 0, WNOHANG)
        | flag(x & 4 != 0, WUNTRACED)
        | flag(x & 8 != 0, WCONTINUED)
        | flag(x & 0x30 == 0x10, __WNOTHREAD)
        | flag(x & 0xc0 == 0x40, __WALL)
        | flag(x & 0xc0 == 0x80, __WCLONE)
        | flag(waitid && y & 0x60 != 0, WEXITED)
        | flag(waitid && y & 0x18 == 0x18, WNOWAIT);
    let whom = match y % 8 {
        0..=2 => Whom::Any,
        3..=5 => Whom::Task(target),
        6 => Whom::OwnGroup,
        _ => Whom::GroupOf(target),
    };
    Wait { whom, waitid, options, pidfd: waitid && y & 0x60 == 0x60 && matches!(whom, Whom::Task(_)) }
}
