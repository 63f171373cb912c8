//! Terminals (termios(3), tcsetpgrp(3)).

/// Whether one of the standard descriptors is a terminal (isatty(3)).
pub fn is_terminal_number(number: i32) -> bool {
    // SAFETY: isatty(3) takes an integer.
    unsafe { libc::isatty(number) == 1 }
}

/// Whether this process's group is in the foreground of a terminal that is one of the standard streams (tcgetpgrp(3)).
pub fn is_foreground() -> bool {
    // SAFETY: calls with integers only.
    unsafe { (0..3).any(|number| libc::isatty(number) == 1 && libc::tcgetpgrp(number) == libc::getpgrp()) }
}

/// Makes this process's group the foreground group of its terminal again, so that the shell that started it can take
/// over in an orderly way. Without a terminal, nothing happens.
pub fn reclaim() {
    // SAFETY: calls with integers only; SIGTTOU is ignored for the moment of the call, as tcsetpgrp(3) asks of a
    // background process, and put back.
    unsafe {
        let group = libc::getpgrp();
        if libc::isatty(0) == 1 && libc::tcgetpgrp(0) != group && libc::tcgetsid(0) == libc::getsid(0) {
            let before = libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetpgrp(0, group);
            libc::signal(libc::SIGTTOU, before);
        }
    }
}
