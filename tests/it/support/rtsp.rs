//! A network camera nobody here wrote: gst-rtsp-server with H.264, AAC, and a flash and a tick every second.

use super::nal::Codec;
use super::proc::Holdfast;
use super::process::{self, Running};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// Debian's own Python: only it has `gi`.
pub const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/rtsp_server.py");
/// Python and GStreamer start within a second; this is for a machine under full load.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct RtspServer {
    running: Running,
    url: String,
}

impl RtspServer {
    /// Starts one on a free port, as a process of `holdfast`.
    pub fn start(holdfast: &Holdfast) -> Self {
        Self::start_with(holdfast, &[])
    }

    /// Starts one with options of the script (`--port N`, `--no-audio`, `--size WxH`, …: see there).
    pub fn start_with(holdfast: &Holdfast, options: &[&str]) -> Self {
        let log = holdfast.root().join("rtsp.log");
        let mut command = holdfast.command(PYTHON);
        command.arg(SCRIPT).args(options).stderr(process::log_file(&log));
        let (running, url) = Running::start_and_hear("the RTSP server", &mut command, UP_WITHIN);
        Self { running, url }
    }

    /// Starts one that sends `film` as it is.
    pub fn start_film(holdfast: &Holdfast, codec: Codec, film: &Path) -> Self {
        let codec = if codec == Codec::H264 { "h264" } else { "h265" };
        Self::start_with(holdfast, &["--codec", codec, "--file", film.to_str().expect("a path")])
    }

    /// `rtsp://127.0.0.1:<port>/camera`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port, to start another one in its place.
    pub fn port(&self) -> &str {
        let port = self.url.rsplit(':').next().and_then(|rest| rest.split('/').next());
        port.expect("the address has a port")
    }

    /// Stands still without closing a connection.
    pub fn freeze(&self) {
        self.running.signal(Signal::STOP);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.running.signal(Signal::CONT);
    }

    /// Dies.
    pub fn kill(&mut self) {
        self.running.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{demux, flash_tick};
    use super::*;

    #[test]
    fn another_client_gets_picture_and_sound_in_step() {
        let holdfast = Holdfast::new("");
        let mut server = RtspServer::start(&holdfast);
        let film = holdfast.root().join("film.mp4");
        let mut command = holdfast.command("ffmpeg");
        command.args([
            "-nostdin",
            "-v",
            "error",
            "-rtsp_transport",
            "tcp",
            "-i",
            server.url(),
            "-t",
            "4",
            "-c",
            "copy",
        ]);
        let output = process::run("ffmpeg", command.arg(&film), holdfast.root(), UP_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
        let found = demux::ffprobe(&film);
        assert!(found.video.samples() > 100 && found.audio.samples() > 150, "{found:?}");
        let marks = flash_tick::marks(&film).expect("both are there");
        let offset = marks.offset_ms().unwrap_or_else(|| panic!("no pairs: {marks:?}"));
        assert!(offset.abs() < 40.0, "the server itself is {offset} ms off: {marks:?}");
        server.kill();
        let port = server.port().to_owned();
        assert_eq!(RtspServer::start_with(&holdfast, &["--port", &port, "--no-audio"]).port(), port);
    }
}
