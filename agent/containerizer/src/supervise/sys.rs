//! System calls of the supervisor that need `unsafe` or that the crates we use do not offer as we need them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A child that ended and was not yet waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) pid: i32,
    /// As `waitpid(2)` gives it.
    pub(crate) status: i32,
}

/// The next dead child, left as it is: its pid, process group and session stay taken until [`reap`]. `None`: no child is
/// dead. Own code because nix refuses real-time signals and rustix does not tell the pid.
pub(crate) fn peek_dead() -> Option<Dead> {
    // SAFETY: all zeroes is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for writing.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &mut info, flags) };
    if result != 0 {
        return None; // no children at all
    }
    // SAFETY: waitid filled in a child's information, or left zeroes, which read as pid 0.
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return None;
    }
    let status = match info.si_code {
        libc::CLD_EXITED => (value & 0xff) << 8,
        libc::CLD_DUMPED => (value & 0x7f) | 0x80,
        _ => value & 0x7f,
    };
    Some(Dead { pid, status })
}

/// Lets go of a dead child.
pub(crate) fn reap(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
}

/// Sends a signal to a process; false when there is none or we may not.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    // Pids of 1 and below would mean init, our own group, or everybody.
    // SAFETY: no memory is involved.
    pid > 1 && unsafe { libc::kill(pid, signal) == 0 }
}

/// Sends a signal to a process group.
pub(crate) fn kill_group(group: i32, signal: i32) -> bool {
    // SAFETY: no memory is involved.
    group > 1 && unsafe { libc::kill(-group, signal) == 0 }
}

/// Which side of a fork this is.
pub(crate) enum Fork {
    Child,
    Parent { child: i32 },
}

/// Forks this process, which must be single-threaded.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: with one thread no lock can be held by somebody who is missing in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent { child }),
    }
}

/// Closes all descriptors above 2 but these.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut from: u32 = 3;
    for fd in keep.into_iter().filter(|fd| *fd >= 3).chain([u32::MAX]) {
        if fd > from {
            // SAFETY: the closed descriptors are owned by nobody in this process image: it was called right after a
            // fork or at the start of `main`, and forgets what the old image owned.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = fd.saturating_add(1);
    }
}

/// Makes a descriptor survive (or not survive) an execve.
pub(crate) fn set_inherited(fd: BorrowedFd<'_>, inherited: bool) -> io::Result<()> {
    let flags = if inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: plain numbers.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes ownership of a descriptor named on our command line.
pub(crate) fn inherited_fd(number: RawFd) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: a plain number; the call fails if it is no descriptor.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: it is open, and at the start of `main` nobody else in this process can own it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}

/// Gives every signal its default action and blocks none.
pub(crate) fn default_signals() {
    // 1 to 64 are all signals Linux has; the two that cannot be set fail harmlessly.
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set is valid; sigemptyset fills it before use.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Raises our limit of open files as far as it goes and returns what it was: each container with a memory cgroup costs
/// the supervisor a descriptor.
pub(crate) fn raise_open_files() -> io::Result<libc::rlimit> {
    let mut before = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `before` is valid for writing.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit {
        rlim_cur: before.rlim_max,
        rlim_max: before.rlim_max,
    };
    // SAFETY: the limit is a live value.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(before)
}

/// Ends this process at once, without running anything of the image it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(code) }
}
