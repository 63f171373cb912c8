//! Sockets: transparent listeners, descriptors in messages, splice, and the options that std has no name for.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{check, check_size};

/// What a socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// A non-blocking socket bound to `address`, with `IP_TRANSPARENT` (ip(7)) so that it may speak for any address, and for
/// datagrams with the packet's own destination in ancillary data (`IP_PKTINFO`). Needs `CAP_NET_ADMIN` in the namespace.
pub fn transparent(kind: Kind, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(kind, address)?;
    let (level, transparent, info) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TRANSPARENT, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, IPV6_TRANSPARENT, libc::IPV6_RECVPKTINFO),
    };
    option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    option(&socket, level, transparent, 1)?;
    if address.is_ipv6() {
        option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    if kind == Kind::Datagram {
        option(&socket, level, info, 1)?;
    }
    let (storage, length) = encode(address);
    // SAFETY: `storage` holds a socket address of `length` bytes.
    check(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&storage).cast(), length) })?;
    if kind == Kind::Stream {
        // SAFETY: listen(2) takes a descriptor and a number.
        check(unsafe { libc::listen(socket.as_raw_fd(), 4096) })?;
    }
    Ok(socket)
}

/// A non-blocking, close-on-exec socket of the address's family.
pub fn open(kind: Kind, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = match kind {
        Kind::Stream => libc::SOCK_STREAM,
        Kind::Datagram => libc::SOCK_DGRAM,
    };
    raw(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
}

/// socket(2) with exactly these numbers.
pub fn raw(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes three integers and returns a new descriptor that nothing else owns.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(family, kind, protocol))?)) }
}

/// connect(2). On a non-blocking socket, `EINPROGRESS` comes back as an error of that number; asking again tells how
/// it went.
pub fn connect(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let (storage, length) = encode(address);
    // SAFETY: `storage` holds a socket address of `length` bytes.
    check(unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&storage).cast(), length) })
        .map(|_| ())
}

/// send(2) of the whole buffer in one call, with these flags, to `to` if given (sendto(2)).
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    flags: libc::c_int,
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    let encoded = to.map(encode);
    let (pointer, length) = match &encoded {
        Some((storage, length)) => (std::ptr::from_ref(storage).cast(), *length),
        None => (std::ptr::null(), 0),
    };
    // SAFETY: both pointers describe live memory of the stated length, or null and zero.
    check_size(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags | libc::MSG_NOSIGNAL,
            pointer,
            length,
        )
    })
}

/// recv(2).
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: pointer and length describe `buffer`.
    check_size(unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// An integer socket option (setsockopt(2)).
pub fn option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option value is a live int of the stated length.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            length_of::<libc::c_int>(),
        )
    })
    .map(|_| ())
}

/// Takes the plainest congestion control, which every kernel has (`TCP_CONGESTION`, tcp(7)). For connections within one machine:
/// nothing is lost there, and pacing, where the host does that by default, costs a timer for each burst. A listener hands it on.
pub fn unpaced(socket: &impl AsRawFd) -> io::Result<()> {
    let name = b"reno";
    // SAFETY: the option value is live and as long as is said.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            libc::socklen_t::try_from(name.len()).unwrap_or_default(),
        )
    })
    .map(|_| ())
}

/// Makes the next close answer with a reset instead of an orderly end (`SO_LINGER` of zero, socket(7)).
pub fn reset_on_close(socket: &impl AsRawFd) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option value is a live `linger` of the stated length.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            length_of::<libc::linger>(),
        )
    })
    .map(|_| ())
}

/// Moves up to `most` bytes between a socket and a pipe without copying them (splice(2)). Never waits.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    // SAFETY: splice(2) takes descriptors; both offsets are null, which sockets and pipes require.
    check_size(unsafe {
        libc::splice(
            from.as_raw_fd(),
            std::ptr::null_mut(),
            to.as_raw_fd(),
            std::ptr::null_mut(),
            most,
            libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
        )
    })
}

/// A pipe, non-blocking and close-on-exec (pipe2(2)), as large as the system grants up to `size` bytes (`F_SETPIPE_SZ`).
pub fn pipe(size: libc::c_int) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    let mut ends: [RawFd; 2] = [-1, -1];
    // SAFETY: pipe2(2) writes two new descriptors into the array, which nothing else owns.
    let (read, write) = unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK))?;
        let [read, write] = ends;
        (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write))
    };
    // SAFETY: fcntl(2) on a live pipe with integer arguments.
    let granted = unsafe {
        libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, size);
        libc::fcntl(write.as_raw_fd(), libc::F_GETPIPE_SZ)
    };
    Ok((read, write, usize::try_from(granted).unwrap_or(4096)))
}

/// A datagram as it arrived: length, who sent it, and the address it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Bytes read into the buffer.
    pub length: usize,
    /// The sender.
    pub source: SocketAddr,
    /// The address it was sent to; the port is the socket's own.
    pub destination: IpAddr,
    /// The port it was sent to, where the socket tells ([`tell_ports`]).
    pub port: Option<u16>,
}

/// Makes a socket that datagrams are steered to tell the port that each was sent to (`IP_RECVORIGDSTADDR`, ip(7)).
pub fn tell_ports(socket: BorrowedFd<'_>, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => option(&socket, libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR, 1),
        IpAddr::V6(_) => option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR, 1),
    }
}

/// recvmsg(2) with the packet's destination (`IP_PKTINFO`, `IPV6_PKTINFO`).
pub fn receive_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = [0u64; 16];
    // SAFETY: every pointer in the header describes live memory of the stated length; the kernel writes at most that.
    unsafe {
        let mut name: libc::sockaddr_storage = zeroed();
        let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut header: libc::msghdr = zeroed();
        header.msg_name = std::ptr::from_mut(&mut name).cast();
        header.msg_namelen = length_of::<libc::sockaddr_storage>();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let length = check_size(libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT))?;
        let source = decode(&name).ok_or_else(|| io::Error::other("datagram without a sender"))?;
        let (mut destination, mut port) = (None, None);
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = std::ptr::read_unaligned(data.cast::<libc::in_pktinfo>());
                    destination = Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = std::ptr::read_unaligned(data.cast::<libc::in6_pktinfo>());
                    destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) => {
                    let sent_to = std::ptr::read_unaligned(data.cast::<libc::sockaddr_in>());
                    port = Some(u16::from_be(sent_to.sin_port));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) => {
                    let sent_to = std::ptr::read_unaligned(data.cast::<libc::sockaddr_in6>());
                    port = Some(u16::from_be(sent_to.sin6_port));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
        let destination = destination.ok_or_else(|| io::Error::other("datagram without its destination"))?;
        Ok(Arrival { length, source, destination, port })
    }
}

/// sendmsg(2) that speaks as `from`: an answer comes from the address that was asked.
pub fn send_as(socket: BorrowedFd<'_>, bytes: &[u8], from: IpAddr, to: SocketAddr) -> io::Result<usize> {
    let mut control = [0u64; 8];
    let (storage, length) = encode(to);
    // SAFETY: every pointer in the header describes live memory; the control buffer is large enough for one
    // `in6_pktinfo` (CMSG_SPACE(20) = 40 bytes of 64) and aligned for a header.
    unsafe {
        let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut header: libc::msghdr = zeroed();
        header.msg_name = std::ptr::from_ref(&storage).cast_mut().cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        let used = match from {
            IpAddr::V4(address) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(address).to_be();
                (*message).cmsg_level = libc::IPPROTO_IP;
                (*message).cmsg_type = libc::IP_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(length_of::<libc::in_pktinfo>()) as _;
                std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
                libc::CMSG_SPACE(length_of::<libc::in_pktinfo>())
            }
            IpAddr::V6(address) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = address.octets();
                (*message).cmsg_level = libc::IPPROTO_IPV6;
                (*message).cmsg_type = libc::IPV6_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(length_of::<libc::in6_pktinfo>()) as _;
                std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
                libc::CMSG_SPACE(length_of::<libc::in6_pktinfo>())
            }
        };
        header.msg_controllen = used as _;
        check_size(libc::sendmsg(
            socket.as_raw_fd(),
            &raw const header,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        ))
    }
}

/// A pair of connected, close-on-exec sockets that keep message borders (socketpair(2), unix(7)).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1, -1];
    // SAFETY: socketpair(2) writes two new descriptors into the array, which nothing else owns.
    unsafe {
        check(libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        ))?;
        let [one, other] = ends;
        Ok((OwnedFd::from_raw_fd(one), OwnedFd::from_raw_fd(other)))
    }
}

/// Sends a message with descriptors (`SCM_RIGHTS`, unix(7)); at most 253 of them.
pub fn send_descriptors(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let payload = u32::try_from(size_of_val(raw.as_slice())).unwrap_or_default();
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    let space = usize::try_from(unsafe { libc::CMSG_SPACE(payload) }).unwrap_or_default();
    let mut control = vec![0u64; space.div_ceil(8)];
    // SAFETY: the control buffer has room for `payload` bytes behind one header; all pointers describe live memory.
    unsafe {
        let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut header: libc::msghdr = zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        if !raw.is_empty() {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = space as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(payload) as _;
            std::ptr::copy_nonoverlapping(
                raw.as_ptr().cast::<u8>(),
                libc::CMSG_DATA(message),
                size_of_val(raw.as_slice()),
            );
        }
        check_size(libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL)).map(|_| ())
    }
}

/// Receives a message and the descriptors that came with it, all close-on-exec.
pub fn receive_descriptors(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let (length, descriptors, flags) = received(socket, buffer)?;
    if flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0 {
        return Err(io::Error::other("message or its descriptors were cut off"));
    }
    Ok((length, descriptors))
}

/// Receives a message, and of its descriptors those for which this process has room: the kernel drops the rest.
pub fn receive_with_room_or_without(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let (length, descriptors, flags) = received(socket, buffer)?;
    if flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::other("message was cut off"));
    }
    Ok((length, descriptors))
}

/// recvmsg(2), with the flags of what was received.
fn received(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>, libc::c_int)> {
    let mut control = vec![0u64; 256];
    let mut descriptors = Vec::new();
    // SAFETY: every pointer in the header describes live memory; descriptors that the kernel installed are new and
    // owned by nobody else.
    unsafe {
        let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut header: libc::msghdr = zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(control.as_slice()) as _;
        let length = check_size(libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC))?;
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS {
                let bytes = ((*message).cmsg_len as usize)
                    .saturating_sub(usize::try_from(libc::CMSG_LEN(0)).unwrap_or_default());
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    descriptors.push(OwnedFd::from_raw_fd(std::ptr::read_unaligned(data.add(index))));
                }
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
        Ok((length, descriptors, header.msg_flags))
    }
}

/// Bytes acknowledged and received on a TCP socket so far (`TCP_INFO`, tcp(7)).
pub fn is_established(socket: BorrowedFd<'_>) -> bool {
    let mut info = [0u8; 8];
    let mut length: libc::socklen_t = 8;
    // SAFETY: the kernel writes at most `length` bytes into `info`.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    code == 0 && info.first() == Some(&1)
}

/// Says that nothing more will be sent (shutdown(2) with `SHUT_WR`).
pub fn finish(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: shutdown(2) takes a descriptor and a number.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }).map(|_| ())
}

fn encode(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: a zeroed sockaddr_storage is valid and large enough for either family's address.
    unsafe {
        let mut storage: libc::sockaddr_storage = zeroed();
        match address {
            SocketAddr::V4(address) => {
                let place = std::ptr::from_mut(&mut storage).cast::<libc::sockaddr_in>();
                (*place).sin_family = u16::try_from(libc::AF_INET).unwrap_or_default();
                (*place).sin_port = address.port().to_be();
                (*place).sin_addr.s_addr = u32::from(*address.ip()).to_be();
                (storage, length_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(address) => {
                let place = std::ptr::from_mut(&mut storage).cast::<libc::sockaddr_in6>();
                (*place).sin6_family = u16::try_from(libc::AF_INET6).unwrap_or_default();
                (*place).sin6_port = address.port().to_be();
                (*place).sin6_addr.s6_addr = address.ip().octets();
                (*place).sin6_scope_id = address.scope_id();
                (storage, length_of::<libc::sockaddr_in6>())
            }
        }
    }
}

fn decode(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: the family says which address the kernel wrote, and the storage is large enough for it.
    unsafe {
        match i32::from(storage.ss_family) {
            libc::AF_INET => {
                let place = &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>();
                let address = Ipv4Addr::from(u32::from_be(place.sin_addr.s_addr));
                Some(SocketAddrV4::new(address, u16::from_be(place.sin_port)).into())
            }
            libc::AF_INET6 => {
                let place = &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>();
                let address = Ipv6Addr::from(place.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(address, u16::from_be(place.sin6_port), 0, place.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default()
}

/// `IPV6_TRANSPARENT` of `linux/in6.h`.
const IPV6_TRANSPARENT: libc::c_int = 75;
/// The user of the process on the other side of a UNIX socket, as it was when it connected (unix(7), SO_PEERCRED).
pub fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or_default();
    // SAFETY: the structure is live, and its length is what is said.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    })?;
    Ok(credentials.uid)
}
