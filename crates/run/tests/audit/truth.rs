//! What the reader promises: two ways to the same facts agree, a tree leads nowhere else, and what is not read is not passed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use claw_host::{Read, Status, audit};
use claw_run::audit::{Places, Root, read};

use crate::world::{Scratch, net};

fn places() -> Places {
    Places { program: "/usr/bin/claw".into(), state: "/nonexistent".into(), config: "/nonexistent".into() }
}

#[test]
fn the_kernel_tells_the_same_sockets_by_netlink_and_by_its_files() {
    let world = net("", &["tcp 127.0.0.1:7001", "tcp [::1]:7002", "udp 0.0.0.0:7003", "tcp 0.0.0.0:7004"]);
    let facts = world.facts();
    let asked: BTreeSet<String> = facts
        .listeners
        .known()
        .unwrap()
        .iter()
        .map(|one| format!("{:?} {}", one.transport, one.local))
        .collect();
    let expect = ["Tcp 127.0.0.1:7001", "Tcp [::1]:7002", "Udp 0.0.0.0:7003", "Tcp 0.0.0.0:7004"];
    assert_eq!(asked, expect.map(str::to_owned).into());
    // the same lines as files of a tree
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("proc/net")).unwrap();
    fs::create_dir_all(tree.0.join("proc/sys")).unwrap();
    let lines = [
        (
            "tcp",
            "   0: 0100007F:1B59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n   1: 00000000:1B5C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1\n   2: 0100007F:1B59 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 3 1\n",
        ),
        (
            "tcp6",
            "   0: 00000000000000000000000001000000:1B5A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1\n",
        ),
        (
            "udp",
            "   0: 00000000:1B5B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4 2\n",
        ),
        ("udp6", ""),
    ];
    for (name, text) in lines {
        fs::write(tree.0.join("proc/net").join(name), format!("  sl  local_address\n{text}")).unwrap();
    }
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    let listed: BTreeSet<String> = facts
        .listeners
        .known()
        .unwrap()
        .iter()
        .map(|one| format!("{:?} {}", one.transport, one.local))
        .collect();
    assert_eq!(listed, asked);
}

#[test]
fn a_socket_is_told_with_its_program() {
    let facts = net("", &["tcp 127.0.0.1:7005"]).facts();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(facts.listeners.known().unwrap()[0].process.as_deref(), Some(own.trim()));
}

#[test]
fn no_link_of_a_tree_leads_out_of_it() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc")).unwrap();
    symlink("/etc/hostname", tree.0.join("etc/passwd")).unwrap();
    symlink("../../../../../../etc/passwd", tree.0.join("etc/group")).unwrap();
    symlink("/proc/self/root/etc/shadow", tree.0.join("etc/shadow")).unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(facts.text("/etc/passwd").known().is_none());
    assert!(facts.text("/etc/group").known().is_none());
    assert!(facts.shadow.known().is_none());
}

#[test]
fn a_fifo_or_an_endless_file_does_not_stop_the_reader() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc/ssh")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(tree.0.join("etc/passwd")).status().unwrap();
    assert!(made.success());
    fs::File::create(tree.0.join("etc/group")).unwrap().set_len(1 << 40).unwrap();
    fs::write(tree.0.join("etc/ssh/sshd_config"), "Include /etc/ssh/sshd_config\nInclude */*\n").unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(matches!(facts.text("/etc/passwd"), Read::Unknown(_)));
    assert!(matches!(facts.text("/etc/group"), Read::Unknown(_)));
    let report = audit(&facts);
    let passed = |id: &str| report.outcomes.iter().any(|one| one.id == id && one.status == Status::Pass);
    assert!(!passed("ssh-x11-forwarding"), "a file that includes itself passed");
}

#[test]
fn no_secret_of_the_password_file_is_in_the_facts() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc")).unwrap();
    fs::write(tree.0.join("etc/shadow"), "ada:$6$salt$secrethash:1::::::\n").unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(!format!("{facts:?}").contains("secrethash"));
    assert!(format!("{:?}", facts.shadow).contains("Strong"));
}
