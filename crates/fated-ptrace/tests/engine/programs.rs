//! Real programs under the engine alone.

use crate::harness::{Scratch, launch, run};
use fated_engine::Error;
use fated_kernel::host::Ending;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs a program that writes its result to the file `$OUT`, and compares the result.
#[track_caller]
fn check(name: &str, words: &[&str], expected: &str) {
    if !words[0].contains('/')
        && !["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(words[0]).exists())
    {
        eprintln!("skipped: {} is not installed", words[0]);
        return;
    }
    let scratch = Scratch::new(name);
    let out = scratch.path("out");
    let mut launch = launch(words);
    launch.env.push(("OUT".into(), (&out).into()));
    launch.cwd = Some(scratch.0.clone());
    let (ending, _) = run(&launch).unwrap();
    assert_eq!(ending, Ending::Exited(0), "{words:?}");
    assert_eq!(fs::read_to_string(&out).unwrap_or_default(), expected, "{words:?}");
}

#[test]
fn a_dynamic_program_runs() {
    check("cp", &["cp", "/proc/version", "out"], &fs::read_to_string("/proc/version").unwrap());
}

#[test]
fn a_static_program_runs() {
    check("busybox", &["busybox", "sh", "-c", "echo $((6*7)) > $OUT"], "42\n");
}

#[test]
fn bash_pipelines_run() {
    check("bash", &["bash", "-c", "for i in 3 1 2; do echo $i; done | sort | tr '\\n' ' ' | cat > $OUT"], "1 2 3 ");
}

#[test]
fn dash_runs_many_children() {
    check(
        "dash",
        &["dash", "-c", "n=0; while [ $n -lt 100 ]; do /bin/true; n=$((n+1)); done; echo $n > $OUT"],
        "100\n",
    );
}

#[test]
fn python_threads_run() {
    let program = "
import threading, os
total = []
def work(n): total.append(n * n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
for t in threads: t.start()
for t in threads: t.join()
open(os.environ['OUT'], 'w').write(str(sum(total)))
";
    check("python", &["/usr/bin/python3", "-S", "-c", program], "285");
}

#[test]
fn python_subprocesses_run() {
    let program = "
import subprocess, os
text = subprocess.run(['tr', 'a-z', 'A-Z'], input=b'shout', stdout=subprocess.PIPE).stdout
open(os.environ['OUT'], 'wb').write(text)
";
    check("subprocess", &["/usr/bin/python3", "-S", "-c", program], "SHOUT");
}

/// Another thread execs while the leader sleeps in a join or has exited.
#[test]
fn a_thread_may_exec_in_its_leaders_place() {
    let exec = "
import threading, os
def work():
    try: os.execv('/no/such', ['x'])
    except OSError: pass
    os.execv('/bin/sh', ['sh', '-c', 'echo $$ > $OUT'])
t = threading.Thread(target=work)
t.start()
";
    for last in ["t.join()", "import ctypes; ctypes.CDLL(None).syscall(60, 0)"] {
        check("thread-exec", &["/usr/bin/python3", "-S", "-c", &format!("{exec}{last}\n")], "100\n");
    }
}

#[test]
fn the_leader_may_exit_first() {
    let program = "
import threading, os, ctypes, time
def work():
    for _ in range(10): time.sleep(0)
    open(os.environ['OUT'], 'w').write('late')
    os._exit(0)
threading.Thread(target=work).start()
ctypes.CDLL(None).syscall(60, 0)
";
    check("leader-exit", &["/usr/bin/python3", "-S", "-c", program], "late");
}

#[test]
fn perl_runs() {
    check(
        "perl",
        &["perl", "-e", "open F, '>', $ENV{OUT}; print F join ',', map { `echo $_` =~ s/\\n//r } 1..3"],
        "1,2,3",
    );
}

#[test]
fn scripts_run() {
    let scratch = Scratch::new("script");
    let script = scratch.write("script", "#!/bin/sh -e\necho \"$0 $1\" | sed 's:.*/::' > $OUT\n");
    check("script-run", &[&script, "x"], "script x\n");
}

#[test]
fn addresses_and_processor_are_the_same_each_time() {
    let text = |name: &str| {
        let scratch = Scratch::new(name);
        let mut launch =
            launch(&["sh", "-c", "cat /proc/self/maps /proc/self/auxv > out; ls -l /proc/self/fd | wc -l >> out"]);
        launch.cwd = Some(scratch.0.clone());
        assert_eq!(run(&launch).unwrap().0, Ending::Exited(0));
        fs::read(scratch.path("out")).unwrap()
    };
    let (one, other) = (text("maps"), text("maps"));
    assert!(!one.is_empty());
    assert!(one == other, "{}\n{}", String::from_utf8_lossy(&one), String::from_utf8_lossy(&other));
}

#[test]
fn an_answered_call_is_one_stop() {
    let stops = |count: u32| {
        let program = format!("n=0; while [ $n -lt {count} ]; do n=$((n+1)); : < /dev/null; done");
        run(&launch(&["dash", "-c", &program])).unwrap().1
    };
    let (few, many) = (stops(100), stops(1100));
    // open, fcntl (dup), close, dup2, dup2 back, close…: all passed, none made natively.
    assert_eq!(many.natives, few.natives);
    assert!(many.stops - few.stops >= 2000, "{few:?} {many:?}");
}

/// A whole 32-bit program: `int3` at its entry.
fn program_for_i386() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    // Version, entry, program headers at 52; flags; sizes of both headers, one program header.
    file.extend([1, BASE + 84, 52, 0, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    file.extend([52, 32, 1, 0, 0, 0].iter().flat_map(|half: &u16| half.to_le_bytes()));
    // One segment, readable and executable: the whole file.
    file.extend([1, 0, BASE, BASE, 85, 85, 5, 4096].iter().flat_map(|word: &u32| word.to_le_bytes()));
    file.push(0xcc);
    file
}

#[test]
fn what_cant_be_run_is_told_as_a_shell_does() {
    let scratch = Scratch::new("refused");
    let data = scratch.write("data", "\u{1}\u{2}");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
    let foreign = scratch.write("foreign", "");
    fs::write(&foreign, program_for_i386()).unwrap();
    let code = |program: &str| run(&launch(&[program])).unwrap_err().exit_code();
    assert_eq!(code("no-such-program"), 127);
    assert_eq!(code("/no/such/program"), 127);
    assert_eq!(code(""), 127);
    assert_eq!(code(&data), 126);
    assert_eq!(code("/"), 126);
    let mut nowhere = launch(&["true"]);
    nowhere.cwd = Some("/no/such".into());
    let refused = run(&nowhere).unwrap_err();
    assert!(matches!(refused, Error::Directory { .. }), "{refused}");
    let refused = run(&launch(&["true", "a\0b"])).unwrap_err();
    assert!(matches!(refused, Error::Nul { .. }), "{refused}");
    assert_eq!(code(&foreign), 126);
}
