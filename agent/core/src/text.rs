//! Texts of statuses, as Mesos's command executor and agent write them.

/// `Command exited with status 0`, `Command terminated with signal Terminated`, from a raw wait status.
pub(crate) fn command_end(status: i32) -> String {
    format!("Command {}", wait_status(status))
}

/// `exited with status 3`, `terminated with signal Killed (core dumped)`.
pub(crate) fn wait_status(status: i32) -> String {
    let signal = status & 0x7f;
    if signal == 0 {
        return format!("exited with status {}", (status >> 8) & 0xff);
    }
    let core = if status & 0x80 != 0 { " (core dumped)" } else { "" };
    format!("terminated with signal {}{core}", signal_name(signal))
}

/// Whether a raw wait status is a clean exit.
pub(crate) fn is_success(status: i32) -> bool {
    status & 0x7f == 0 && (status >> 8) & 0xff == 0
}

/// The text of `strsignal` on Linux.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        16 => "Stack fault",
        17 => "Child exited",
        18 => "Continued",
        19 => "Stopped (signal)",
        20 => "Stopped",
        21 => "Stopped (tty input)",
        22 => "Stopped (tty output)",
        23 => "Urgent I/O condition",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        26 => "Virtual timer expired",
        27 => "Profiling timer expired",
        28 => "Window changed",
        29 => "I/O possible",
        30 => "Power failure",
        31 => "Bad system call",
        34..=64 => return format!("Real-time signal {}", signal - 34),
        other => return format!("Unknown signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_read_as_in_the_recordings() {
        assert_eq!(command_end(0), "Command exited with status 0");
        assert_eq!(command_end(3 << 8), "Command exited with status 3");
        assert_eq!(command_end(15), "Command terminated with signal Terminated");
        assert_eq!(command_end(9), "Command terminated with signal Killed");
        assert_eq!(
            command_end(11 | 0x80),
            "Command terminated with signal Segmentation fault (core dumped)"
        );
        assert!(is_success(0) && !is_success(256) && !is_success(9));
    }
}
