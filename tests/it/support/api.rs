//! The recorder's API as a stranger would speak it: HTTP/1.1 and WebSocket, by hand, over the Unix socket.
//!
//! Contract: none of the product's own client code is used, and every call ends within its time.

use super::process::Deadline;
use super::schema::Description;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// R-CMD-2: every command is answered within 10 s; a little more, so that a late answer is seen as late.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; `Null` when it is empty, a string when it is no JSON.
    pub body: Value,
}

/// Asks `METHOD path` of the engine that listens on `socket`.
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Reply, String> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n");
    if !body.is_empty() {
        head += "Content-Type: application/json\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let failed = |step: &str, error: std::io::Error| format!("{method} {path}: {step}: {error}");
    let mut stream = UnixStream::connect(socket).map_err(|error| failed("connect", error))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(|error| failed("set up", error))?;
    stream.write_all(head.as_bytes()).map_err(|error| failed("send", error))?;
    parse(&read_all(&mut stream).map_err(|error| failed("receive", error))?)
        .ok_or_else(|| format!("{method} {path}: the answer is no HTTP"))
}

fn read_all(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let deadline = Deadline::after(ANSWER_WITHIN);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16384]);
    loop {
        let left = deadline.left().ok_or(ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let body = match headers.get("transfer-encoding") {
        Some(encoding) if encoding == "chunked" => unchunk(&bytes[end + 4..])?,
        _ => bytes[end + 4..].to_vec(),
    };
    let text = String::from_utf8(body).ok()?;
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Some(Reply { status, headers, body })
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 2 + length + 2..)?;
    }
}

/// The event stream.
#[derive(Debug)]
pub struct Events {
    socket: WebSocket<UnixStream>,
    described_by: Option<PathBuf>,
}

impl Events {
    /// Subscribes.
    pub fn connect(socket: &Path) -> Result<Self, String> {
        Self::connect_since(socket, "")
    }

    /// Subscribes with a query, as `?since=7`.
    pub fn connect_since(path: &Path, query: &str) -> Result<Self, String> {
        let stream = UnixStream::connect(path).map_err(|error| format!("events: connect: {error}"))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(|error| error.to_string())?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(|error| error.to_string())?;
        let (socket, _) = tungstenite::client(format!("ws://holdfast/api/v1/events{query}"), stream)
            .map_err(|error| format!("events: handshake: {error}"))?;
        Ok(Self { socket, described_by: None })
    }

    /// From here on every event is held against the description of the engine that listens on `path`.
    pub fn described_by(self, path: &Path) -> Self {
        Self { described_by: Some(path.to_owned()), ..self }
    }

    /// Says something, which no client has to.
    pub fn say(&mut self, text: String) -> Result<(), String> {
        self.socket.send(Message::text(text)).map_err(|error| format!("events: {error}"))
    }

    /// The next event, `Ok(None)` when none came within `time`, an error when the stream has ended.
    pub fn next(&mut self, time: Duration) -> Result<Option<Value>, String> {
        let deadline = Deadline::after(time);
        while let Some(left) = deadline.left() {
            self.socket.get_ref().set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let event = serde_json::from_str(&text).map_err(|error| format!("events: no JSON: {error}"))?;
                    if let Some(description) = self.described_by.as_deref().and_then(Description::of) {
                        description.check("Event", &event).unwrap_or_else(|wrong| panic!("{wrong}"));
                    }
                    return Ok(Some(event));
                }
                Ok(Message::Close(_)) => return Err("events: closed".to_owned()),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                Err(error) => return Err(format!("events: {error}")),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Answers one connection with `serve` on a thread; returns what `ask` got.
    fn with_server<T>(serve: impl FnOnce(UnixStream) + Send + 'static, ask: impl FnOnce(&Path) -> T) -> T {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a short path");
        let server = std::thread::spawn(move || serve(listener.accept().expect("a client").0));
        let got = ask(&socket);
        server.join().expect("the server is fine");
        got
    }

    #[test]
    fn an_answer_is_read_whole_and_in_chunks() {
        let answers = [
            "HTTP/1.1 201 Created\r\nX-Trace-ID: t\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
            "HTTP/1.1 201 Created\r\nX-Trace-ID: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        ];
        for answer in answers {
            let serve = move |mut stream: UnixStream| {
                let mut asked = [0; 512];
                let count = stream.read(&mut asked).expect("a request");
                assert!(asked[..count].starts_with(b"POST /x HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).expect("the client listens");
            };
            let body = serde_json::json!({});
            let reply = with_server(serve, |socket| request(socket, "POST", "/x", &[("k", "v")], Some(&body)));
            let reply = reply.expect("an answer");
            assert_eq!((reply.status, reply.headers["x-trace-id"].as_str()), (201, "t"));
            assert_eq!(reply.body, serde_json::json!({"a": 1}));
        }
    }

    #[test]
    fn events_come_one_by_one_and_silence_is_no_error() {
        let serve = |stream: UnixStream| {
            let mut socket = tungstenite::accept(stream).expect("a handshake");
            socket.send(Message::text("{\"kind\":\"heartbeat\"}")).expect("the client listens");
            let _ = socket.read();
        };
        with_server(serve, |socket| {
            let mut events = Events::connect(socket).expect("connected");
            assert_eq!(events.next(ANSWER_WITHIN), Ok(Some(serde_json::json!({"kind": "heartbeat"}))));
            assert_eq!(events.next(Duration::from_millis(10)), Ok(None));
        });
    }
}
