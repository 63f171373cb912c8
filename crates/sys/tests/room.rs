//! Descriptors in messages, for which a process may have no room.

use std::os::fd::AsFd;

use claw_sys::{resource, socket};

/// Alone in its file: the limit is the whole process's.
#[test]
fn a_message_arrives_though_its_descriptor_finds_no_room() {
    let (one, other) = socket::pair().unwrap();
    let send = || socket::send_descriptors(one.as_fd(), b"word", &[one.as_fd()]).unwrap();
    let mut room = [0; 8];
    let before = resource::open_files().unwrap();
    (0..2).for_each(|_| send());
    resource::set_open_files(resource::Limit { soft: 3, ..before }).unwrap();
    let whole = socket::receive_descriptors(other.as_fd(), &mut room);
    let least = socket::receive_with_room_or_without(other.as_fd(), &mut room);
    resource::set_open_files(before).unwrap();
    assert!(whole.is_err());
    assert!(matches!(least, Ok((4, descriptors)) if descriptors.is_empty()));
    send();
    assert!(
        matches!(socket::receive_with_room_or_without(other.as_fd(), &mut room), Ok((4, one)) if one.len() == 1)
    );
}
