//! Reads `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Major and minor number of the device.
    pub device: &'a str,
    /// What of the file system is mounted.
    pub root: String,
    /// Where.
    pub place: String,
    /// Options of the mount, and of the file system.
    pub options: Vec<&'a str>,
    /// The type of the file system.
    pub kind: &'a str,
    /// What it was made from.
    pub source: String,
}

impl Mount<'_> {
    /// Whether it has an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }
}

/// Every mount; a later one hides an earlier one at the same place.
pub fn mounts(text: &str) -> Vec<Mount<'_>> {
    text.lines().filter_map(mount).collect()
}

/// The mount that is seen at a place.
pub fn at<'a, 'b>(mounts: &'b [Mount<'a>], place: &str) -> Option<&'b Mount<'a>> {
    mounts.iter().rev().find(|mount| mount.place == place)
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (own, system) = line.split_once(" - ")?;
    let mut own = own.split(' ').skip(2);
    let (device, root, place, options) = (own.next()?, own.next()?, own.next()?, own.next()?);
    let mut system = system.split(' ');
    let (kind, source, more) = (system.next()?, system.next()?, system.next().unwrap_or_default());
    let mut options: Vec<&str> = options.split(',').collect();
    // `rw` of the file system says nothing where the mount is `ro`
    options.extend(more.split(',').filter(|option| *option != "rw"));
    Some(Mount { device, root: plain(root), place: plain(place), options, kind, source: plain(source) })
}

/// Undoes the octal escapes of blank, tab, newline and backslash.
fn plain(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_options_and_the_last_one_counts() {
        let text = "22 27 0:21 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1k\n23 27 8:1 /a\\040b /tmp ro,noexec shared:1 - ext4 /dev/sda1 rw\nnonsense\n";
        let all = mounts(text);
        assert_eq!(all.len(), 2);
        let seen = at(&all, "/tmp").unwrap();
        assert_eq!((seen.root.as_str(), seen.kind, seen.device), ("/a b", "ext4", "8:1"));
        assert!(seen.has("ro") && seen.has("noexec") && !seen.has("rw") && !seen.has("nosuid"));
    }
}
