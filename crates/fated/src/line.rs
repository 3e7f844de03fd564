//! A record of the log as one line: as strace(1) writes it for people, as JSON for programs.

use fated_kernel::record::{Ended, Record, What};
use fated_kernel::syscall::log::names;
use fated_kernel::syscall::table;
use serde_json::{Value, json};

/// `TASK SECONDS call(arguments) = result`, seconds since `epoch_ns`, without a line feed.
#[must_use]
pub fn text(record: &Record, epoch_ns: u64) -> String {
    let elapsed = record.time_ns.saturating_sub(epoch_ns);
    let head = format!("{} {}.{:09}", record.tid, elapsed / 1_000_000_000, elapsed % 1_000_000_000);
    format!("{head} {}", record.what)
}

/// One object, times in nanoseconds since 1970, without a line feed.
#[must_use]
pub fn json(record: &Record) -> Value {
    let mut object = json!({
        "time_ns": record.time_ns,
        "pid": record.pid.get(),
        "tid": record.tid.get(),
    });
    let what = match &record.what {
        What::Call { call, args, ended } => json!({
            "call": name(call.number),
            "args": args,
            match ended { Ended::Failed(_) => "error", _ => "result" }: match ended {
                Ended::Value(value) => json!(*value as i64),
                Ended::Failed(errno) => json!(errno.to_string()),
                Ended::Away => Value::Null,
            },
        }),
        What::Signal { signal, code } => json!({ "signal": names::signal(*signal), "code": code }),
        What::Exit { status } => match status & 0x7f {
            0 => json!({ "exit": (status >> 8) & 0xff }),
            signal => json!({ "killed": names::signal(signal) }),
        },
    };
    if let (Some(object), Value::Object(what)) = (object.as_object_mut(), what) {
        object.extend(what);
    }
    object
}

/// The name of a call; some numbers have none.
#[must_use]
pub fn name(number: u64) -> String {
    table::call(number).map_or_else(|| format!("call_{number}"), |info| info.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fated_kernel::arch::Call;
    use fated_kernel::errno::Errno;
    use fated_kernel::id::{Pid, Tid};

    const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

    #[track_caller]
    fn check(what: What, in_text: &str, in_json: &str) {
        let (pid, tid) = (Pid::new(2).unwrap(), Tid::new(5).unwrap());
        let record = Record { time_ns: EPOCH_NS + 1_000_012_000, pid, tid, what };
        assert_eq!(text(&record, EPOCH_NS), format!("5 1.000012000 {in_text}"));
        let mut expected: Value = serde_json::from_str(in_json).unwrap();
        for (key, value) in [("time_ns", record.time_ns), ("pid", 2), ("tid", 5)] {
            expected[key] = value.into();
        }
        assert_eq!(json(&record), expected);
    }

    fn call(number: u64, args: &[&str], ended: Ended) -> What {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        What::Call { call: Call { number, args: [0; 6] }, args, ended }
    }

    #[test]
    fn calls() {
        check(
            call(3, &["4"], Ended::Failed(Errno::EBADF)),
            "close(4) = -1 EBADF (Bad file descriptor)",
            r#"{"call":"close","args":["4"],"error":"EBADF"}"#,
        );
        check(
            call(9, &["0", "4096"], Ended::Value(0x1000)),
            "mmap(0, 4096) = 0x1000",
            r#"{"call":"mmap","args":["0","4096"],"result":4096}"#,
        );
        check(call(60, &["1"], Ended::Away), "exit(1) = ?", r#"{"call":"exit","args":["1"],"result":null}"#);
        check(
            call(400, &[], Ended::Failed(Errno::ENOSYS)),
            "call_400() = -1 ENOSYS (Function not implemented)",
            r#"{"call":"call_400","args":[],"error":"ENOSYS"}"#,
        );
    }

    #[test]
    fn events() {
        check(
            What::Signal { signal: 17, code: 1 },
            "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---",
            r#"{"signal":"SIGCHLD","code":1}"#,
        );
        check(What::Exit { status: 7 << 8 }, "+++ exited with 7 +++", r#"{"exit":7}"#);
        check(What::Exit { status: 9 }, "+++ killed by SIGKILL +++", r#"{"killed":"SIGKILL"}"#);
        check(What::Exit { status: 34 }, "+++ killed by SIGRT_2 +++", r#"{"killed":"SIGRT_2"}"#);
    }
}
