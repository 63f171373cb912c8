//! HTTP/1 as the gate passes it on: read by the library, stripped, written anew. Whatever comes in, what goes out has one
//! reading: one Host, one length, no line end but CR LF.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use claw_wire::fields;
use http::HeaderValue;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let bytes = bytes.to_vec();
    let sent = tokio::task::LocalSet::new().block_on(&runtime, through(bytes));
    if let Err(what) = canonical(&sent) {
        panic!("{what}: {}", sent.escape_ascii());
    }
});

async fn through(bytes: Vec<u8>) -> Vec<u8> {
    let (mut client, inside) = duplex(1 << 20);
    let (outside, mut server) = duplex(1 << 20);
    tokio::task::spawn_local(async move {
        let _ = client.write_all(&bytes).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut Vec::new()).await;
    });
    let (line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(outside)).await.unwrap();
    tokio::task::spawn_local(async move { drop(connection.await) });
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&sent);
    tokio::task::spawn_local(async move {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = server.read(&mut part).await {
            seen.borrow_mut().extend_from_slice(&part[..length]);
            if seen.borrow().windows(4).any(|end| end == b"\r\n\r\n") {
                let _ = server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    });
    let line = Rc::new(tokio::sync::Mutex::new(line));
    let service = service_fn(move |request| {
        let line = Rc::clone(&line);
        async move { Ok::<_, Infallible>(pass(&line, request).await.unwrap_or_else(|| Response::new(String::new()))) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(inside), service);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), served).await.expect("a hang");
    tokio::task::yield_now().await;
    sent.take()
}

/// As the gate does.
async fn pass(
    line: &tokio::sync::Mutex<SendRequest<Incoming>>,
    mut request: Request<Incoming>,
) -> Option<Response<String>> {
    fields::coding(request.headers()).ok()?;
    fields::strip(request.headers_mut());
    request.headers_mut().insert("host", HeaderValue::from_static("a.test"));
    *request.uri_mut() = Uri::from(request.uri().path_and_query()?.clone());
    *request.version_mut() = hyper::Version::HTTP_11;
    let mut line = line.lock().await;
    line.ready().await.ok()?;
    line.send_request(request).await.ok()?;
    Some(Response::new(String::new()))
}

/// Every message but the last, which may have been broken off, has one reading.
fn canonical(mut bytes: &[u8]) -> Result<(), String> {
    while let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 4..];
        if head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err("a line end within a line".to_owned());
        }
        let values = |wanted: &str| -> Vec<String> {
            let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
            lines.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).collect()
        };
        if !head.is_empty() && values("host").len() != 1 {
            return Err("not one Host".to_owned());
        }
        match (values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
            ([], []) => {}
            ([length], []) => {
                let length: usize = length.parse().map_err(|_| format!("length {length}"))?;
                bytes = bytes.get(length..).unwrap_or_default();
            }
            ([], [one]) if one == "chunked" => match chunks(bytes)? {
                Some(rest) => bytes = rest,
                None => return Ok(()),
            },
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}

/// What follows the chunks and the trailers of a body; `None` if it was broken off.
fn chunks(mut bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    loop {
        let Some(end) = bytes.windows(2).position(|end| end == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| format!("chunk size {}", bytes[..end].escape_ascii()))?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        let Some(rest) = bytes.get(size..) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', rest @ ..] => bytes = rest,
            _ if rest.len() < 2 => return Ok(None),
            _ => return Err("a chunk without its end".to_owned()),
        }
    }
    loop {
        let Some(end) = bytes.windows(2).position(|end| end == b"\r\n") else { return Ok(None) };
        bytes = &bytes[end + 2..];
        if end == 0 {
            return Ok(Some(bytes));
        }
    }
}
