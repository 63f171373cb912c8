//! Servers and clients to measure with: the same client runs inside a sandbox and outside of it.
//!
//! Each mode prints one JSON object. Nothing here is asynchronous: what is measured is the path, not the client.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

/// Serves on 127.0.0.1 until killed: echo of one byte, a sink, a source, and HTTP. Prints the four ports.
pub(crate) fn serve() -> io::Result<()> {
    let mut ports = Vec::new();
    let modes: [fn(TcpStream) -> io::Result<()>; 4] = [echo, sink, source, http];
    for mode in modes {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        ports.push(listener.local_addr()?.port().to_string());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || mode(stream));
            }
        });
    }
    println!("{}", ports.join(" "));
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// The floor: a relay that does nothing but relay, on one thread: no decision, no record, no sandbox. Listens on `from`,
/// connects to `to`, until killed.
pub(crate) fn relay(from: u16, to: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", from))?;
    let mut directions: Vec<(TcpStream, TcpStream)> = Vec::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let mut waiting = vec![listener.as_fd()];
        waiting.extend(directions.iter().map(|(from, _)| from.as_fd()));
        let ready = claw_sys::process::poll(&waiting, -1)?;
        let mut ended = Vec::new();
        for (index, (from, to)) in directions.iter_mut().enumerate() {
            if ready.get(index + 1) != Some(&true) {
                continue;
            }
            let read = from.read(&mut buffer).unwrap_or_default();
            if read == 0 || to.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
                let _ = to.shutdown(std::net::Shutdown::Write);
                ended.push(index);
            }
        }
        for index in ended.into_iter().rev() {
            directions.swap_remove(index);
        }
        if ready.first() == Some(&true) {
            let (one, other) = (listener.accept()?.0, TcpStream::connect(("127.0.0.1", to))?);
            one.set_nodelay(true)?;
            other.set_nodelay(true)?;
            directions.push((one.try_clone()?, other.try_clone()?));
            directions.push((other, one));
        }
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0u8; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    // a length, not an end: squid does not carry a half-closed connection
    let mut length = [0u8; 8];
    stream.read_exact(&mut length)?;
    let mut left = u64::from_be_bytes(length);
    let mut buffer = vec![0u8; 256 * 1024];
    while left > 0 {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left = left.saturating_sub(u64::try_from(read).unwrap_or_default());
    }
    stream.write_all(b"k")
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut length = [0u8; 8];
    stream.read_exact(&mut length)?;
    let mut left = u64::from_be_bytes(length);
    let buffer = vec![7u8; 256 * 1024];
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        stream.write_all(buffer.get(..part).unwrap_or_default())?;
        left -= u64::try_from(part).unwrap_or_default();
    }
    Ok(())
}

fn http(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0u8; 4096];
    let mut tail = Vec::new();
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
        while let Some(end) = tail.windows(4).position(|window| window == b"\r\n\r\n") {
            tail.drain(..end + 4);
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!",
            )?;
        }
    }
}

/// Where a client connects: directly, or through a CONNECT proxy.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) host: String,
    pub(crate) proxy: Option<String>,
}

impl Way {
    fn open(&self, port: u16) -> io::Result<TcpStream> {
        let Some(proxy) = &self.proxy else {
            let address = (self.host.as_str(), port).to_socket_addrs()?.find(|address| address.is_ipv4());
            let stream = TcpStream::connect(address.ok_or(io::ErrorKind::NotFound)?)?;
            stream.set_nodelay(true)?;
            return Ok(stream);
        };
        let mut stream = TcpStream::connect(proxy)?;
        stream.set_nodelay(true)?;
        let host = &self.host;
        stream
            .write_all(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0u8; 1];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        if answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200") {
            Ok(stream)
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
        }
    }
}

/// Connects, sends a byte and waits for it, `times` times: the median in microseconds. The name is looked up once.
pub(crate) fn connect(way: &Way, port: u16, times: usize) -> io::Result<f64> {
    let address = match &way.proxy {
        Some(_) => None,
        None => (way.host.as_str(), port).to_socket_addrs()?.find(|address| address.is_ipv4()),
    };
    let mut samples = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let mut stream = match address {
            Some(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream
            }
            None => way.open(port)?,
        };
        let mut byte = [1u8; 1];
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut samples))
}

/// Megabytes per second, up and down, over `streams` connections that carry `bytes` each.
pub(crate) fn bulk(way: &Way, sink: u16, source: u16, streams: usize, bytes: u64) -> io::Result<(f64, f64)> {
    let rate = |begun: Instant| {
        let total = bytes.saturating_mul(u64::try_from(streams).unwrap_or_default());
        total as f64 / begun.elapsed().as_secs_f64() / 1e6
    };
    let begun = Instant::now();
    all(streams, way, move |way| {
        let mut stream = way.open(sink)?;
        stream.write_all(&bytes.to_be_bytes())?;
        let buffer = vec![7u8; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            stream.write_all(buffer.get(..part).unwrap_or_default())?;
            left -= u64::try_from(part).unwrap_or_default();
        }
        stream.read_exact(&mut [0u8; 1])
    })?;
    let up = rate(begun);
    let begun = Instant::now();
    all(streams, way, move |way| {
        let mut stream = way.open(source)?;
        stream.write_all(&bytes.to_be_bytes())?;
        let mut buffer = vec![0u8; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(u64::try_from(read).unwrap_or_default());
        }
        Ok(())
    })?;
    Ok((up, rate(begun)))
}

/// HTTP requests per second over keep-alive connections.
pub(crate) fn requests(way: &Way, port: u16, connections: usize, seconds: f64) -> io::Result<f64> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let (sender, receiver) = std::sync::mpsc::channel();
    all(connections, way, move |way| {
        let mut stream = way.open(port)?;
        let (mut buffer, mut count) = ([0u8; 1024], 0u64);
        while Instant::now() < until {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")?;
            let mut received = Vec::new();
            while !received.ends_with(b"Hello, world!") {
                let read = stream.read(&mut buffer)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                received.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
            count += 1;
        }
        sender.send(count).map_err(io::Error::other)
    })?;
    Ok(receiver.try_iter().sum::<u64>() as f64 / seconds)
}

/// Opens `count` connections at once, then speaks on each. Says how many answered.
pub(crate) fn many(way: &Way, port: u16, count: usize) -> io::Result<usize> {
    let address = (way.host.as_str(), port).to_socket_addrs()?.find(|address| address.is_ipv4());
    let address = address.ok_or(io::ErrorKind::NotFound)?;
    let mut streams = Vec::new();
    for _ in 0..count {
        match TcpStream::connect(address) {
            Ok(stream) => streams.push(stream),
            Err(_) => break,
        }
    }
    let mut answered = 0;
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut byte = [9u8; 1];
        if stream.write_all(&byte).is_ok() && stream.read_exact(&mut byte).is_ok() {
            answered += 1;
        }
    }
    Ok(answered)
}

/// Holds connections to two hosts, half to each; says how many; waits until all of the first host's have ended, and says
/// when that was (nanoseconds of the epoch) and how many of the second host's still answer.
pub(crate) fn hold(gone: &str, kept: &str, port: u16, count: usize) -> io::Result<()> {
    let open = |host: &str| -> io::Result<Vec<TcpStream>> {
        let way = Way { host: host.to_owned(), proxy: None };
        let mut streams = Vec::new();
        for _ in 0..count / 2 {
            let Ok(mut stream) = way.open(port) else { break };
            let mut byte = [9u8; 1];
            if stream.write_all(&byte).is_err() || stream.read_exact(&mut byte).is_err() {
                break;
            }
            streams.push(stream);
        }
        Ok(streams)
    };
    let (mut gone, mut kept) = (open(gone)?, open(kept)?);
    println!("{}", gone.len() + kept.len());
    for stream in &gone {
        stream.set_nonblocking(true)?;
    }
    while !gone.is_empty() {
        gone.retain(
            |stream| matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock),
        );
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(io::Error::other)?;
    let mut answered = 0;
    for stream in &mut kept {
        let mut byte = [9u8; 1];
        if stream.write_all(&byte).is_ok() && stream.read_exact(&mut byte).is_ok() {
            answered += 1;
        }
    }
    println!("{} {answered} {}", now.as_nanos(), kept.len());
    Ok(())
}

fn all(
    count: usize,
    way: &Way,
    work: impl Fn(&Way) -> io::Result<()> + Send + Clone + 'static,
) -> io::Result<()> {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (way, work) = (way.clone(), work.clone());
            thread::spawn(move || work(&way))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a client thread panicked"))??;
    }
    Ok(())
}

/// The middle of the samples.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Nanoseconds for a call on a shown file, opening and reading it, the same of a writable one, making and removing one.
pub(crate) fn files(count: u32) -> io::Result<String> {
    let shown = std::path::Path::new("/usr/include/stdio.h");
    let shown = if shown.exists() { shown } else { std::path::Path::new("/usr/bin/env") };
    let own = std::path::Path::new("w/own");
    std::fs::write(own, [b'x'; 4096])?;
    let mut buffer = [0; 4096];
    let mut read =
        |path: &std::path::Path| -> io::Result<()> { std::fs::File::open(path)?.read(&mut buffer).map(drop) };
    let mut times = Vec::new();
    let mut time = |each: &mut dyn FnMut() -> io::Result<()>| -> io::Result<()> {
        let begun = Instant::now();
        for _ in 0..count {
            each()?;
        }
        times.push(format!("{:.1}", begun.elapsed().as_secs_f64() * 1e9 / f64::from(count)));
        Ok(())
    };
    time(&mut || std::fs::metadata(shown).map(drop))?;
    time(&mut || read(shown))?;
    time(&mut || read(own))?;
    time(&mut || {
        std::fs::File::create("w/new")?;
        std::fs::remove_file("w/new")
    })?;
    Ok(times.join(" "))
}
