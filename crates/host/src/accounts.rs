//! Reads passwd(5) and group(5).

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// The second field; `x` means that shadow(5) holds the hash.
    pub password: &'a str,
    /// Its number.
    pub user: u32,
    /// Its own group.
    pub group: u32,
    /// Its home.
    pub home: &'a str,
    /// Its shell.
    pub shell: &'a str,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub number: u32,
    /// Who is in it beside those whose own group it is.
    pub members: Vec<&'a str>,
}

/// Every account; lines that are none are left out.
pub fn accounts(text: &str) -> Vec<Account<'_>> {
    let account = |line| {
        let fields: Vec<&str> = str::split(line, ':').collect();
        let [name, password, user, group, _, home, shell] = fields.as_slice() else { return None };
        Some(Account { name, password, user: user.parse().ok()?, group: group.parse().ok()?, home, shell })
    };
    text.lines().filter_map(account).collect()
}

/// Every group; lines that are none are left out.
pub fn groups(text: &str) -> Vec<Group<'_>> {
    let group = |line| {
        let fields: Vec<&str> = str::split(line, ':').collect();
        let [name, _, number, members] = fields.as_slice() else { return None };
        let members = members.split(',').filter(|member| !member.is_empty()).collect();
        Some(Group { name, number: number.parse().ok()?, members })
    };
    text.lines().filter_map(group).collect()
}

impl Account<'_> {
    /// Whether somebody can be in its home: it is root's, a person's, or a service's with a shell.
    pub fn lives(&self) -> bool {
        let shut = ["nologin", "false", "true", "sync", "shutdown", "halt"];
        let shell = self.shell.rsplit('/').next().unwrap_or_default();
        !matches!(self.home, "/" | "/nonexistent" | "/bin" | "/dev" | "/usr/sbin") && !shut.contains(&shell)
    }
}
