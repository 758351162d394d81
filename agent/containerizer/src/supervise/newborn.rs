//! The moments between the birth of a container's first process and its program.
//!
//! Called by launchers. The process is born with `CLONE_VM | CLONE_VFORK`: it borrows the launcher's memory while the
//! launcher stands still, so that a birth costs the same however large either is, and a failure is told through that
//! memory. `CLONE_PARENT` makes it the supervisor's child. Everything it needs is prepared before; it allocates nothing,
//! takes no lock and calls nothing but system calls.
#![allow(unsafe_code)]

use super::log::patch_birth;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// A step in the form the newborn can take it without any preparation.
#[derive(Debug)]
pub(crate) enum Step {
    /// Write itself into this cgroup's `tasks`.
    Join(std::fs::File),
    OwnSession,
    Limit(u32, libc::rlimit),
    ChangeDirectory(CString),
    Become(Identity),
}

/// Everything a newborn needs.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    /// What becomes descriptors 0, 1 and 2.
    pub(crate) standard: [BorrowedFd<'a>; 3],
    /// The supervisor's log, and the record of this birth to be completed and appended first.
    pub(crate) log: BorrowedFd<'a>,
    pub(crate) record: Vec<u8>,
    /// The newborn's parent; when it is dead, nothing may start.
    pub(crate) supervisor: i32,
    /// The limit of open files the supervisor was started with, before it raised its own.
    pub(crate) open_files: libc::rlimit,
    pub(crate) steps: Vec<Step>,
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

/// What failed in a newborn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The process could not be made.
    Clone,
    /// Its birth could not be recorded.
    Record,
    /// The supervisor is dead.
    Orphaned,
    /// The limit of open files.
    OpenFiles,
    /// This step.
    Step(usize),
    /// Its standard streams.
    Streams,
    /// None of the programs could be executed.
    Exec,
}

/// A failed birth.
#[derive(Debug)]
pub(crate) struct Stillborn {
    /// The dead process; zero if there never was one.
    pub(crate) pid: i32,
    pub(crate) stage: Stage,
    pub(crate) error: std::io::Error,
}

/// Stack of a newborn: deep enough for its few frames, and reused from birth to birth.
#[derive(Debug)]
pub(crate) struct Stack(Box<[u8]>);

const STACK_BYTES: usize = 64 << 10;

impl Stack {
    pub(crate) fn new() -> Stack {
        Stack(vec![0; STACK_BYTES].into_boxed_slice())
    }
}

/// What launcher and newborn share while the launcher stands still.
struct Shared<'b, 'a> {
    birth: &'b mut Birth<'a>,
    argv: Vec<*const c_char>,
    /// `sh CANDIDATE ARGUMENTS...`, for a program that is a script without an interpreter line; see `execvp(3)`.
    script_argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    failed: Option<(Stage, c_int)>,
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let mut out: Vec<*const c_char> = texts.iter().map(|t| t.as_ptr()).collect();
    out.push(ptr::null());
    out
}

/// Gives birth and returns when the program runs (its pid) or the newborn failed.
pub(crate) fn give_birth(birth: &mut Birth<'_>, stack: &mut Stack) -> Result<i32, Stillborn> {
    let argv = pointers(&birth.argv);
    let mut script_argv = vec![SHELL_NAME.as_ptr(), ptr::null()];
    script_argv.extend(argv.iter().skip(1));
    if script_argv.len() == 2 {
        script_argv.push(ptr::null());
    }
    let environment = pointers(&birth.environment);
    let mut shared = Shared {
        birth,
        argv,
        script_argv,
        environment,
        failed: None,
    };
    let argument: *mut c_void = ptr::from_mut(&mut shared).cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT | libc::SIGCHLD;
    let top = stack.0.as_mut_ptr_range().end;
    // The ABI wants the stack aligned to 16 bytes.
    let top: *mut c_void = top.wrapping_sub(top.addr() % 16).cast();
    // SAFETY: the child runs `newborn` on `stack`, which nobody else uses, and reaches `shared` through `argument`.
    // CLONE_VFORK keeps this thread, the only one of its process (launchers are single-threaded), standing still
    // until the child executed or exited, so that both outlive the child's use and nothing is accessed concurrently.
    let pid = unsafe { libc::clone(newborn, top, flags, argument) };
    if pid < 0 {
        return Err(Stillborn {
            pid: 0,
            stage: Stage::Clone,
            error: std::io::Error::last_os_error(),
        });
    }
    // SAFETY: `argument` points to `shared`, which lives; the volatile read keeps the compiler from assuming that
    // `failed` is as it was before the call.
    let failed = unsafe { ptr::read_volatile(&raw const (*argument.cast::<Shared>()).failed) };
    match failed {
        None => Ok(pid),
        Some((stage, errno)) => Err(Stillborn {
            pid,
            stage,
            error: std::io::Error::from_raw_os_error(errno),
        }),
    }
}

const SHELL: &CStr = c"/bin/sh";
const SHELL_NAME: &CStr = c"sh";

extern "C" fn newborn(argument: *mut c_void) -> c_int {
    // SAFETY: `give_birth` passes a pointer to a `Shared` that nobody touches while this process lives in its memory.
    let shared = unsafe { &mut *argument.cast::<Shared<'_, '_>>() };
    let stage = live(shared);
    shared.failed = Some((stage, errno()));
    127
}

fn errno() -> c_int {
    // SAFETY: the location is this thread's and always valid.
    unsafe { *libc::__errno_location() }
}

/// Returns only on failure, with the stage that failed; `errno` says why.
fn live(shared: &mut Shared<'_, '_>) -> Stage {
    let birth = &mut *shared.birth;
    if !record(birth) {
        return Stage::Record;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::getppid() } != birth.supervisor {
        return Stage::Orphaned;
    }
    // SAFETY: the limit is a live value.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &birth.open_files) } != 0 {
        return Stage::OpenFiles;
    }
    for (at, step) in birth.steps.iter().enumerate() {
        if !take(step) {
            return Stage::Step(at);
        }
    }
    for (to, from) in birth.standard.iter().enumerate() {
        // SAFETY: both are numbers of descriptors; the copy is not closed on exec, the original is.
        if unsafe { libc::dup2(from.as_raw_fd(), to as c_int) } < 0 {
            return Stage::Streams;
        }
    }
    execute(shared);
    Stage::Exec
}

/// Completes and appends the record of this birth.
fn record(birth: &mut Birth<'_>) -> bool {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    let born_ns = (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64);
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    patch_birth(&mut birth.record, pid, born_ns);
    write_all(birth.log.as_raw_fd(), &birth.record)
}

fn write_all(to: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: the pointer and length are those of a live slice.
    let written = unsafe { libc::write(to, bytes.as_ptr().cast(), bytes.len()) };
    written == bytes.len() as isize
}

fn take(step: &Step) -> bool {
    match step {
        Step::Join(procs) => write_all(procs.as_raw_fd(), b"0"),
        // SAFETY: no preconditions.
        Step::OwnSession => unsafe { libc::setsid() >= 0 },
        // SAFETY: the limit is a live value.
        Step::Limit(resource, limit) => unsafe {
            libc::setrlimit(*resource as libc::__rlimit_resource_t, limit) == 0
        },
        // SAFETY: the path is a C string.
        Step::ChangeDirectory(path) => unsafe { libc::chdir(path.as_ptr()) == 0 },
        Step::Become(identity) => r#become(identity),
    }
}

/// By plain system calls: the C library's functions would try to change the launcher's threads as well.
fn r#become(identity: &Identity) -> bool {
    let groups = identity.groups.as_ptr();
    // SAFETY: pointer and length are those of a live vector of group ids; the others take plain numbers.
    unsafe {
        libc::syscall(libc::SYS_setgroups, identity.groups.len(), groups) == 0
            && libc::syscall(libc::SYS_setgid, identity.gid) == 0
            && libc::syscall(libc::SYS_setuid, identity.uid) == 0
    }
}

/// Tries the candidates in order, as `execvp(3)` does; leaves in `errno` why the most promising one failed.
fn execute(shared: &mut Shared<'_, '_>) {
    let mut denied = false;
    for candidate in &shared.birth.candidates {
        // SAFETY: all are C strings and null-terminated arrays of C strings that live in `shared`.
        unsafe {
            libc::execve(
                candidate.as_ptr(),
                shared.argv.as_ptr(),
                shared.environment.as_ptr(),
            )
        };
        match errno() {
            libc::ENOEXEC => {
                if let Some(script) = shared.script_argv.get_mut(1) {
                    *script = candidate.as_ptr();
                }
                // SAFETY: as above.
                unsafe {
                    libc::execve(
                        SHELL.as_ptr(),
                        shared.script_argv.as_ptr(),
                        shared.environment.as_ptr(),
                    )
                };
                return;
            }
            libc::EACCES => denied = true,
            libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => {}
            _ => return,
        }
    }
    if denied {
        // SAFETY: the location is this thread's and always valid.
        unsafe { *libc::__errno_location() = libc::EACCES };
    }
}
