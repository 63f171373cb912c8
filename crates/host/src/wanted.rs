//! Which files a reader has to bring.

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Files whose content is wanted.
    pub texts: &'static [&'static str],
}

/// What the checks look at.
pub const WANTED: Wanted = Wanted { texts: TEXTS };

const TEXTS: &[&str] = &["/proc/sys/kernel/unprivileged_bpf_disabled"];
