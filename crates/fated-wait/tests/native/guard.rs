//! The guard: a process between the test and what plays the stories, so that no puppet stays behind, not even a
//! stopped one, if either of them is killed.

use libc::{SIGCHLD, SIGTERM, c_int};

/// Returns in the director, a grandchild of the test; the test itself ends with the director's status.
pub fn stand() {
    // SAFETY: plain system calls; the program has one thread.
    unsafe {
        let test = libc::getpid();
        match libc::fork() {
            -1 => panic!("no guard: {}", std::io::Error::last_os_error()),
            0 => {
                // Out of reach of whatever is sent to the test's process group; its death is told by SIGTERM.
                libc::setsid();
                libc::prctl(libc::PR_SET_PDEATHSIG, SIGTERM);
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
                watch(test);
            }
            guard => std::process::exit(status_of(guard)),
        }
    }
}

/// Returns in the director.
///
/// # Safety
/// The calling process has one thread, and no child.
unsafe fn watch(test: i32) {
    // SAFETY: the set and what it is passed to are of the same kind; all else are plain system calls.
    unsafe {
        let (mut news, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut news);
        libc::sigaddset(&mut news, SIGCHLD);
        libc::sigaddset(&mut news, SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &news, &mut before);
        let director = libc::fork();
        if director == 0 {
            libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
            return;
        }
        let (mut status, mut signal) = (0, 0);
        while director > 0
            && libc::getppid() == test
            && libc::waitpid(director, &mut status, libc::WNOHANG) == 0
            && libc::sigwait(&news, &mut signal) == 0
            && signal != SIGTERM
        {}
        kill_all();
        std::process::exit(code(status));
    }
}

/// Kills the children until there are none; those of the dead become the guard's, as it is a subreaper.
fn kill_all() {
    let children = || std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    loop {
        for child in children().split_whitespace().filter_map(|child| child.parse().ok()) {
            // SAFETY: a child that is not waited for keeps its number.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } < 0 {
            return;
        }
    }
}

fn status_of(child: i32) -> c_int {
    let mut status = 0;
    // SAFETY: the status has a place.
    unsafe { libc::waitpid(child, &mut status, 0) };
    code(status)
}

fn code(status: c_int) -> c_int {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}
