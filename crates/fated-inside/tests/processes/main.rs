//! The real side of processes: what happens when one is killed from outside, and what a program's text looks like.

#![expect(clippy::disallowed_methods, reason = "looks for real processes while the run goes on, and starts gcc")]

#[path = "../alike/compare.rs"]
#[expect(dead_code, reason = "this is about one engine")]
mod compare;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use compare::{Case, Run, config};
use fated_engine::cpuid::{self, Cpuid};
use fated_kernel::host::Ending;

fn case(command: &[&str]) -> Case {
    let command = command.iter().map(ToString::to_string).collect();
    Case { command, cwd: None, config: config(0), rewrite: true }
}

fn children(process: &str, thread: &str) -> Vec<String> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
    list.split_ascii_whitespace().map(ToOwned::to_owned).collect()
}

/// Kills the guest that is chosen, of all from the oldest on, as soon as it is there; returns its real id.
fn kill(supervisor: &str, choose: impl Fn(&[String]) -> Option<&String>) -> String {
    const LIMIT_MS: u32 = 60_000;
    for _ in 0..LIMIT_MS {
        let guests = children("self", supervisor).iter().flat_map(|init| children(init, init)).collect::<Vec<_>>();
        if let Some(guest) = choose(&guests) {
            Command::new("kill").args(["-KILL", guest]).status().expect("there is kill");
            return guest.clone();
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no such guest has been there");
}

#[track_caller]
fn is_told_of(command: &[&str], choose: impl Fn(&[String]) -> Option<&String> + Send + 'static) {
    let this = fs::read_link("/proc/thread-self").expect("there is /proc");
    let this = this.file_name().expect("it names the thread").to_string_lossy().into_owned();
    if !Path::new("/proc/self/task").join(&this).join("children").exists() {
        println!("skipped: this Linux doesn't list children");
        return;
    }
    let killer = thread::spawn(move || kill(&this, choose));
    let run = case(command).inside();
    let killed = killer.join().expect("the thread ends");
    let told = format!("a guest (process {killed} of this machine) was killed from outside of the run");
    assert_eq!(run.ending, Ending::Broken(told));
}

/// Long enough to be found, and over some day.
const COUNT: &str = "i=0; while [ $i -lt 5000000 ]; do i=$((i + 1)); done";

#[test]
fn the_death_of_the_running_guest_is_noticed() {
    is_told_of(&["sh", "-c", COUNT], <[_]>::first);
}

#[test]
fn the_death_of_a_sleeping_guest_is_noticed() {
    is_told_of(&["sh", "-c", &format!("sleep 1000 & {COUNT}")], |guests| guests.get(1));
}

/// A program of this source; `None` if there is no compiler.
fn compile(name: &str, source: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the folder is ours");
    let (file, program) = (folder.join("source.c"), folder.join(name));
    fs::write(&file, source).expect("the folder is ours");
    let Ok(output) = Command::new("gcc").arg("-o").arg(&program).arg(&file).output() else {
        println!("skipped: there is no gcc");
        return None;
    };
    assert!(output.status.success(), "gcc failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Some(program.to_string_lossy().into_owned())
}

/// Says what the first byte of its own `cpuid` is and what that answers, twice, and the same again after an exec. No symbol of a function
/// and no unwind table leads to the instruction.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
extern unsigned char site[];
__asm__(".text\nsite: cpuid\nret\n");
int main(int argc, char **argv) {
    for (int times = 0; times < 2; times++) {
        unsigned a = 0, b, c = 0, d;
        __asm__ volatile("sub $128, %%rsp; call site; add $128, %%rsp" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        printf("%02x %x %x %x %x\n", site[0], a, b, c, d);
    }
    fflush(stdout);
    if (argc == 1) execl("/proc/self/exe", argv[0], "again", (char *)0);
    return argc == 1;
}
"#;

#[test]
fn where_cpuid_has_stopped_it_traps_the_next_time() {
    let Some(program) = compile("cpuid", PROGRAM) else { return };
    let hidden = case(&[&program]).launch().hides_processor();
    let it = if hidden { Cpuid::new(1).ask(0, 0) } else { cpuid::real(0, 0) };
    let answer = format!(" {:x} {:x} {:x} {:x}", it.eax, it.ebx, it.ecx, it.edx);
    let run = |rewrite| {
        let Run { ending, output, .. } = Case { rewrite, ..case(&[&program]) }.inside();
        assert_eq!(ending, Ending::Exited(0), "{output:?}");
        let lines: Vec<_> = output[0].lines().map(|line| line.split_at(2)).collect();
        assert!(lines.iter().all(|line| line.1 == answer), "not{answer}: {output:?}");
        lines.iter().map(|line| line.0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(run(false), ["0f"; 4]);
    // What stops it for the second time is known, and traps from then on. Without faults, nothing is known of any place.
    assert_eq!(run(true), if hidden { ["0f", "cc", "cc", "cc"] } else { ["0f"; 4] });
}

/// Maps three pages as text of which it has changed one, forks, and counts.
const FORKS: &str = r#"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    volatile char *text = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, open(argv[0], O_RDONLY), 0);
    for (int page = 0; page < 3; page++) text[page * 4096];
    text[4096]++;
    mprotect((void *)text, 3 * 4096, PROT_READ | PROT_EXEC);
    for (int times = 0; times < 64; times++)
        if (fork()) wait(0);
        else _exit(0);
    for (int i = 0; i < 500 * 1000 * 1000; i++) getppid();
}
"#;

/// How much of these pages the guest has in memory, in kB.
fn resident(guest: &str) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{guest}/smaps")).ok()?;
    let mut lines = maps.lines().skip_while(|line| !(line.contains(" r-xp 00000000 ") && line.ends_with("/forks")));
    lines.find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB")?.trim().parse().ok())
}

#[test]
fn a_process_that_forks_a_lot_gives_the_files_pages_of_changed_text_back() {
    let Some(program) = compile("forks", FORKS) else { return };
    is_told_of(&[&program], |guests| guests.first().filter(|guest| resident(guest) == Some(4)));
}
