//! How much of HTTP/2 one connection of the agent's may hold: less, the more of them are open, so that all together hold a
//! bounded amount of memory, and one alone is as fast as it can be.
//!
//! What grows with a fast peer grows with a hostile one: no window here does.

use std::rc::Rc;

use crate::Shared;

/// What one connection may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of a connection that may be on their way without having been taken.
    pub(crate) connection: u32,
    /// The same of a stream.
    pub(crate) stream: u32,
    /// Bytes of a stream that were taken and are not sent on yet.
    pub(crate) unsent: usize,
    /// Bytes of a head.
    pub(crate) head: usize,
    /// Streams at the same time.
    pub(crate) streams: u32,
}

/// A place among the connections that speak HTTP/2.
pub(crate) struct Place {
    shared: Rc<Shared>,
    pub(crate) room: Room,
}

impl Room {
    /// That of a connection beside which so many others are open. Where there is none, the next one speaks HTTP/1.
    fn beside(open: usize) -> Option<Room> {
        ROOMS.iter().find(|(below, _)| open < *below).map(|(_, room)| *room)
    }

    /// That of a line to the destination beside which the session has so many others: a server may end one for new requests
    /// and keep it for old ones as often as it likes.
    pub(super) fn of_line(self, others: usize) -> Room {
        if others < WIDE_LINES {
            return self;
        }
        Room { connection: SMALLEST, stream: SMALLEST.min(self.stream), ..self }
    }
}

impl Place {
    /// Takes a place, if one is left.
    pub(crate) fn take(shared: &Rc<Shared>) -> Option<Place> {
        let open = shared.multiplexed.get();
        let room = Room::beside(open)?;
        shared.multiplexed.set(open.saturating_add(1));
        Some(Place { shared: Rc::clone(shared), room })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.multiplexed.set(self.shared.multiplexed.get().saturating_sub(1));
    }
}

/// The window that a connection begins with, whoever wants less (RFC 9113, section 6.9.2).
const SMALLEST: u32 = 65_535;
/// Lines of a session with the whole window.
const WIDE_LINES: usize = 2;
/// Connections that speak HTTP/2 at the same time.
const MOST_MULTIPLEXED: usize = 128;
/// Streams of one connection, of the first two.
const MOST_STREAMS: u32 = 100;
/// Bytes that a stream holds back, of the first two connections.
const MOST_UNSENT: usize = 64 * 1024;
/// By how many others are open. INVARIANT: none gives more than the one before, so a connection counts by how many of those
/// that are open were there before it, whatever was opened and closed meanwhile.
const ROOMS: [(usize, Room); 4] = [
    (2, room(1024, 256, MOST_UNSENT, super::LONGEST_HEAD, MOST_STREAMS)),
    (16, room(1024, 256, 16 * 1024, 32 * 1024, 32)),
    (32, room(256, 64, 16 * 1024, 16 * 1024, 16)),
    (MOST_MULTIPLEXED, Room { connection: SMALLEST, ..room(64, 32, 8 * 1024, 8 * 1024, 4) }),
];

/// Windows in KiB.
const fn room(connection: u32, stream: u32, unsent: usize, head: usize, streams: u32) -> Room {
    Room { connection: connection * 1024, stream: stream * 1024, unsent, head, streams }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all that are open together, at most; beside them TLS holds its records.
    const MOST_TOGETHER: usize = 384 << 20;

    fn bytes(window: u32) -> usize {
        usize::try_from(window).unwrap()
    }

    /// The most that a connection and its lines hold, if both sides do their worst: windows full, and of every stream what
    /// a line of its own holds, and both ways a head, what is unsent, and the piece that came last.
    fn most(room: Room) -> usize {
        let line = bytes(room.of_line(WIDE_LINES).connection).max(2 * room.head);
        let windows = bytes(room.connection) * (1 + WIDE_LINES);
        windows + bytes(room.streams) * (line + 2 * (room.head + room.unsent + room.head))
    }

    #[test]
    fn one_connection_is_as_fast_as_ever() {
        let first = Room::beside(0).unwrap();
        let wide = room(1024, 256, 64 * 1024, 64 * 1024, 100);
        assert_eq!((first, first.of_line(0), first.of_line(1)), (wide, wide, wide));
        let second_tier = Room::beside(15).unwrap();
        assert_eq!((second_tier.connection, second_tier.stream), (wide.connection, wide.stream));
    }

    #[test]
    fn no_room_is_larger_than_one_given_before() {
        let rooms: Vec<Room> = (0..MOST_MULTIPLEXED).map(|open| Room::beside(open).unwrap()).collect();
        for (one, next) in rooms.iter().zip(&rooms[1..]) {
            assert!(
                next.connection <= one.connection
                    && next.stream <= one.stream
                    && next.unsent <= one.unsent
                    && next.head <= one.head
                    && next.streams <= one.streams
            );
            assert!(next.of_line(9).connection == SMALLEST && next.of_line(9).stream <= SMALLEST);
        }
        assert_eq!(Room::beside(MOST_MULTIPLEXED), None);
    }

    #[test]
    fn whatever_is_opened_and_closed_all_together_hold_no_more_than_the_bound() {
        let (mut open, mut worst, mut random) = (Vec::new(), 0, 1_u64);
        for step in 0..200_000_usize {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = usize::try_from(random >> 40).unwrap();
            // now it fills, now it empties; what is closed is often the smallest
            let closes = dice % 100 < if step / 1_000 % 2 == 0 { 20 } else { 60 };
            match Room::beside(open.len()) {
                Some(room) if !closes => open.push(room),
                _ if open.is_empty() => {}
                _ => {
                    let at = if dice % 3 == 0 { dice % open.len() } else { open.len() - 1 };
                    open.remove(at);
                }
            }
            worst = worst.max(open.iter().copied().map(most).sum::<usize>());
        }
        let filled: usize = (0..MOST_MULTIPLEXED).filter_map(Room::beside).map(most).sum();
        assert!(worst <= filled && filled <= MOST_TOGETHER, "{worst}, {filled} of {MOST_TOGETHER}");
        assert!(filled > MOST_TOGETHER / 10 * 9, "the bound that is told is near: {filled}");
    }
}
