//! `docs/SYSCALLS.md` is made from the kernel's table, and the table has the numbers of the host's headers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fated_kernel::syscall::table;
use fated_kernel::syscall::table::{Passage, Status};

#[test]
fn document_is_up_to_date() {
    xtask::check_generated("docs/SYSCALLS.md", &document());
}

fn document() -> String {
    let counts = table::COUNTS;
    let mut text = format!(
        "\
# System calls

Generated from `crates/fated-kernel/src/syscall/table/calls.rs`; do not edit. To renew:
`FATED_BLESS=1 cargo test -p xtask --test syscalls`.

All {} system calls of Linux 6.18 on x86-64:

| status | calls | meaning |
|---|---:|---|
| modelled | {} | the simulated kernel carries it out, as Linux would |
| partial | {} | modelled, but not all of it: the note says what differs |
| native | {} | Linux carries it out; on a descriptor that the simulated kernel owns, the kernel answers |
| refused | {} | fails with `ENOSYS`, is counted, and is shown at the end of the run |

| passage | calls | meaning |
|---|---:|---|
",
        table::all().len(),
        counts.modelled,
        counts.partial,
        counts.native,
        counts.refused
    );
    for (passage, meaning) in [
        (Passage::Seen, "one stop, then the kernel answers or Linux does it, unchanged"),
        (
            Passage::Virtualized,
            "one or two stops: Linux answers, and the kernel virtualizes what would tell of the machine",
        ),
        (Passage::Emulated, "one stop: the call doesn't reach Linux as the guest made it"),
    ] {
        let count = table::all().iter().filter(|call| call.passage == passage).count();
        writeln!(text, "| {} | {count} | {meaning} |", name(passage)).expect("a string takes all text");
    }
    text.push_str("\n| number | call | status | passage | note |\n|---:|---|---|---|---|\n");
    for call in table::all() {
        let (status, note) = match call.status {
            Status::Modelled => ("modelled", ""),
            Status::Partial(why) => ("partial", why),
            Status::Native => ("native", ""),
            Status::Refused(why) => ("refused", why),
        };
        writeln!(text, "| {} | `{}` | {status} | {} | {note} |", call.number, call.name, name(call.passage))
            .expect("a string takes all text");
    }
    text
}

fn name(passage: Passage) -> &'static str {
    match passage {
        Passage::Seen => "seen",
        Passage::Virtualized => "virtualized",
        Passage::Emulated => "emulated",
    }
}

/// What the kernel's dispatch names is modelled, at least in part, or native with mending; what is modelled is named in
/// the code of a call; what is refused has no code.
#[test]
fn statuses_agree_with_the_code() {
    let dispatch = "crates/fated-kernel/src/syscall/handlers.rs";
    let dispatched = numbers(&xtask::text(dispatch.as_ref()));
    let calls = xtask::files("rs").into_iter().filter(|path| path.starts_with("crates/fated-kernel/src/syscall"));
    let in_code: BTreeSet<String> = calls.flat_map(|path| numbers(&xtask::text(&path))).collect();
    let mut problems = Vec::new();
    for call in table::all() {
        match call.status {
            Status::Modelled | Status::Partial(_) if !in_code.contains(call.name) => {
                problems.push(format!("{} is listed as modelled and has no code", call.name));
            }
            Status::Refused(_) if dispatched.contains(call.name) => {
                problems.push(format!("{} is listed as refused and {dispatch} names it", call.name));
            }
            _ => {}
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The calls whose numbers a source names.
fn numbers(source: &str) -> BTreeSet<String> {
    let names = source.split("__NR_").skip(1);
    names.map(|rest| rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()).collect()
}

/// Debian's header is older than the table, so it knows fewer calls.
#[test]
fn numbers_agree_with_the_headers() {
    const HEADER: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    let Ok(header) = std::fs::read_to_string(HEADER) else {
        println!("skipped: no {HEADER}: install linux-libc-dev");
        return;
    };
    let mut known = 0;
    for line in header.lines() {
        let Some((name, number)) = line.strip_prefix("#define __NR_").and_then(|it| it.split_once(' ')) else {
            continue;
        };
        let number = number.trim().parse().expect("the header gives a number");
        assert_eq!(table::call(number).map(|call| call.name), Some(name), "call {number}");
        known += 1;
    }
    assert!(known > 350, "the header lists only {known} calls");
}
