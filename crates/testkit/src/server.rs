//! Servers that count what arrives.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A server on threads of its own; it lives as long as the test program.
#[derive(Debug, Clone)]
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    arrivals: AtomicUsize,
    resets: AtomicUsize,
    bytes: Mutex<Vec<u8>>,
}

impl Server {
    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Connections accepted or datagrams received.
    pub fn arrivals(&self) -> usize {
        self.seen.arrivals.load(Ordering::SeqCst)
    }

    /// Connections that the peer tore.
    pub fn resets(&self) -> usize {
        self.seen.resets.load(Ordering::SeqCst)
    }

    /// Every byte received, of all connections.
    pub fn received(&self) -> Vec<u8> {
        self.seen.bytes.lock().unwrap().clone()
    }

    /// Waits until this holds, at most two seconds.
    pub fn until(&self, holds: impl Fn(&Server) -> bool) -> bool {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > Duration::from_secs(2) {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// A rule's inside for this server under a name: destination and address.
    pub fn rule(&self, name: &str) -> String {
        format!("destination: \"{name}:{}\", addresses: [\"{}\"]", self.port(), self.ip())
    }
}

impl Server {
    pub(crate) fn made(address: SocketAddr, seen: &Arc<Seen>) -> Server {
        Server { address, seen: Arc::clone(seen) }
    }
}

impl Seen {
    pub(crate) fn arrived(&self) {
        self.arrivals.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
    }
}

/// Answers each request on a kept connection with its request line and Host.
pub fn http(ip: &str) -> Server {
    stream(ip, 0, requests)
}

/// Sends back what it gets, and ends when the peer ends.
pub fn echo(ip: &str) -> Server {
    stream(ip, 0, |mut connection, seen| {
        let mut buffer = [0; 65536];
        loop {
            let length = connection.read(&mut buffer)?;
            if length == 0 {
                return connection.shutdown(Shutdown::Write);
            }
            let part = buffer.get(..length).unwrap_or_default();
            seen.take(part);
            connection.write_all(part)?;
        }
    })
}

/// Answers with the number of bytes only after the peer has ended its direction.
pub fn late_answer(ip: &str) -> Server {
    stream(ip, 0, |mut connection, seen| {
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        seen.take(&bytes);
        connection.write_all(format!("got {}", bytes.len()).as_bytes())
    })
}

/// Says `bye`, ends its direction, and goes on reading.
pub fn speaks_first(ip: &str) -> Server {
    stream(ip, 0, |mut connection, seen| {
        connection.write_all(b"bye")?;
        connection.shutdown(Shutdown::Write)?;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        seen.take(&bytes);
        Ok(())
    })
}

/// Tears the connection after the first bytes.
pub fn resetter(ip: &str) -> Server {
    stream(ip, 0, |mut connection, _| {
        connection.read_exact(&mut [0])?;
        tear(&connection);
        Ok(())
    })
}

/// Takes any connection and byte, and answers `sunk`.
pub fn sink(ip: &str, port: u16) -> Server {
    stream(ip, port, |mut connection, seen| {
        let mut buffer = [0; 4096];
        loop {
            let length = connection.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            seen.take(buffer.get(..length).unwrap_or_default());
            connection.write_all(b"sunk")?;
        }
    })
}

/// Sends datagrams back.
pub fn echo_datagrams(ip: &str) -> Server {
    datagrams(ip, 0, |question| question.to_vec())
}

/// Takes any datagram, and answers `sunk`.
pub fn sink_datagrams(ip: &str, port: u16) -> Server {
    datagrams(ip, port, |_| b"sunk".to_vec())
}

/// A name server that answers every question with 10.77.0.1.
pub fn names(ip: &str) -> Server {
    datagrams(ip, 53, named)
}

/// The answer of such a name server to a question.
pub fn named(question: &[u8]) -> Vec<u8> {
    let mut answer = question.get(..2).unwrap_or_default().to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    let name = question.get(12..).unwrap_or_default();
    let end = name.iter().position(|byte| *byte == 0).unwrap_or_default().saturating_add(5);
    answer.extend(name.get(..end).unwrap_or_default());
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 0, 1]);
    answer
}

/// Accepts, counts, and serves each connection on a thread.
pub(crate) fn stream<F>(ip: &str, port: u16, serve: F) -> Server
where
    F: Fn(TcpStream, &Seen) -> io::Result<()> + Send + Sync + 'static,
{
    let ip: IpAddr = ip.parse().unwrap();
    let listener = TcpListener::bind((ip, port)).expect("a listener of the lab");
    let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
    let seen = Arc::clone(&server.seen);
    let serve = Arc::new(serve);
    small(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { continue };
            seen.arrivals.fetch_add(1, Ordering::SeqCst);
            let (seen, serve) = (Arc::clone(&seen), Arc::clone(&serve));
            small(move || {
                if serve(connection, &seen).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
                {
                    seen.resets.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    server
}

fn datagrams(ip: &str, port: u16, answer: fn(&[u8]) -> Vec<u8>) -> Server {
    let ip: IpAddr = ip.parse().unwrap();
    let socket = UdpSocket::bind((ip, port)).expect("a socket of the lab");
    let server = Server { address: socket.local_addr().unwrap(), seen: Arc::default() };
    let seen = Arc::clone(&server.seen);
    small(move || {
        let mut buffer = [0; 65536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let question = buffer.get(..length).unwrap_or_default();
            seen.arrivals.fetch_add(1, Ordering::SeqCst);
            seen.take(question);
            let _ = socket.send_to(&answer(question), peer);
        }
    });
    server
}

/// Serves requests on a connection of any kind.
pub(crate) fn requests(mut connection: impl Read + Write, seen: &Seen) -> io::Result<()> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let line = head.lines().next().unwrap_or_default();
            let host = head.lines().find(|line| line.to_lowercase().starts_with("host:")).unwrap_or_default();
            let body = format!("{line}\n{host}\n");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            connection.write_all(answer.as_bytes())?;
            received = rest.as_bytes().to_vec();
            continue;
        }
        let length = connection.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let part = buffer.get(..length).unwrap_or_default();
        seen.take(part);
        received.extend_from_slice(part);
    }
}

/// Makes the close of this connection a reset.
fn tear(connection: &TcpStream) {
    claw_sys::socket::reset_on_close(connection).unwrap();
}

/// A thread with a small stack: a test may want thousands.
fn small(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap();
}
