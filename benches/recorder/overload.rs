//! What is lost on a machine that is too busy (R-FM-5): four inputs of ours that a real window shows, and the same four on bare
//! `gst-launch-1.0` at normal priority, each beside `stress-ng --cpu 8`, one after the other.
//!
//! Contract: the same pictures per second for the same time, four pipelines of `videotestsrc is-live=true ! x264enc
//! ultrafast` into fragmented MP4 on the other side. A live source that is late drops what it has missed, as a camera does.
//! Lost = pictures that should be in the files and are not.

use super::{NEVER, Report, SETTLED};
use crate::support::demux;
use crate::support::display::Display;
use crate::support::load;
use crate::support::proc::{Holdfast, wait_for_change};
use crate::support::process::{self, Running};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Both sizes: about half of two cores, and all of them.
const SIZES: [(&str, u32, u32); 2] = [("960×540", 960, 540), ("1280×720", 1280, 720)];
const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];
const FPS: f64 = 30.0;
/// Of the window: four tiles of 630 × 310.
const WINDOW: (u32, u32) = (1280, 720);
/// R-FM-5.
const LOAD: Duration = Duration::from_secs(60);
/// Recorded before the load, so that every encoder runs.
const CALM: Duration = Duration::from_secs(5);
/// Requirements: shed, and back.
const SHED_WITHIN: f64 = 5.0;
const BACK_WITHIN: f64 = 60.0;
/// What is done in between is asked for this often.
const ASK: Duration = Duration::from_millis(100);

/// The chapter.
pub fn measure(report: &mut Report) {
    if !load::is_here() || process::program("gst-launch-1.0").is_none() {
        println!("overload: stress-ng or gst-launch-1.0 is not installed");
        return;
    }
    for (name, width, height) in SIZES {
        let bare = bare(width, height);
        let ours = ours(report, name, width, height);
        report.line(&format!("{name} ×4 overloaded, gst-launch-1.0: lost"), bare, "%", None);
        report.line(&format!("{name} ×4 overloaded, holdfast: lost"), ours, "%", Some(0.0));
    }
}

fn ours(report: &mut Report, name: &str, width: u32, height: u32) -> f64 {
    let input = |id| {
        format!(
            "[[input]]\nid = \"{id}\"\nkind = \"test\"\nwidth = {width}\nheight = {height}\nfps = 30\naudio = false\n"
        )
    };
    let mut holdfast = Holdfast::new(&(INPUTS.map(input).concat() + "[degradation]\n"));
    holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    let display = Display::start(&holdfast, WINDOW.0, WINDOW.1);
    let window = display.window(&holdfast, &[]);
    holdfast.wait_until("the window shows all four", NEVER, |snapshot| {
        let inputs = snapshot["inputs"].as_array().into_iter().flatten();
        inputs.filter(|input| input["preview"]["state"] == "live").count() == INPUTS.len()
    });
    holdfast.cli_ok(&["record", "start"]);
    let media = |ms: u64| move |snapshot: &Value| snapshot["session"]["safe_ms"].as_u64() >= Some(ms);
    holdfast.wait_until("it records", NEVER, media(5000));
    let begin = Instant::now();
    let mut stress = load::processors(8, LOAD);
    let has = |snapshot: &Value, action: &str| {
        snapshot["level"]["actions"].as_array().is_some_and(|actions| actions.iter().any(|done| done == action))
    };
    let steps = [("previews_15fps", "first preview shed after"), ("previews_off", "last preview shed after")];
    let shed = steps.map(|(action, what)| {
        holdfast.wait_until(what, LOAD, |snapshot| has(snapshot, action));
        (what, begin.elapsed().as_secs_f64())
    });
    stress.wait(LOAD + NEVER).expect("it ends by itself");
    let gone = Instant::now();
    let none = |snapshot: &Value| snapshot["level"]["actions"].as_array().is_some_and(Vec::is_empty);
    // At the limit of the machine there is no room for previews without any load beside it.
    let mut back = None;
    while back.is_none() && gone.elapsed().as_secs_f64() < BACK_WITHIN + 5.0 {
        back = none(&holdfast.status()).then(|| gone.elapsed().as_secs_f64());
        wait_for_change(holdfast.root(), ASK);
    }
    assert!(window.runs(), "the window ended: {}", process::tail(&holdfast.root().join("window.log"), 20));
    holdfast.cli_ok(&["record", "stop"]);
    for (what, seconds) in shed {
        report.line(&format!("{name} ×4, {what}"), seconds, "s", Some(SHED_WITHIN));
    }
    match back {
        Some(seconds) => report.line(&format!("{name} ×4, everything back after"), seconds, "s", Some(BACK_WITHIN)),
        None => println!("{name} ×4: some previews stay away, the machine has no room for them"),
    }
    let session = holdfast.session();
    let manifest = crate::support::evidence::manifest(&session);
    let mut lost = (0.0, 0.0);
    for input in INPUTS {
        let frames = &crate::support::evidence::parts(&manifest, input)[0]["frames"];
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        lost.0 += number(&frames["dropped"]);
        lost.1 += number(&frames["written"]) + number(&frames["dropped"]);
    }
    lost.0 * 100.0 / lost.1
}

/// The same with bare pipelines; percent of the pictures that are in no file.
fn bare(width: u32, height: u32) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = INPUTS.iter().map(|input| folder.path().join(format!("{input}.mp4"))).collect();
    let mut pipelines: Vec<Running> = files.iter().map(|file| pipeline(file, width, height)).collect();
    let begin = Instant::now();
    wait(&mut pipelines[0], CALM + SETTLED);
    let mut stress = load::processors(8, LOAD);
    stress.wait(LOAD + NEVER).expect("it ends by itself");
    wait(&mut pipelines[0], SETTLED);
    let seconds = begin.elapsed().as_secs_f64();
    for pipeline in &mut pipelines {
        pipeline.signal(rustix::process::Signal::INT);
        pipeline.wait(NEVER).expect("gst-launch-1.0 ends its file");
    }
    let written: f64 = files.iter().map(|file| demux::ffprobe(file).video.samples() as f64).sum();
    let expected = seconds * FPS * files.len() as f64;
    ((expected - written) * 100.0 / expected).max(0.0)
}

fn pipeline(file: &Path, width: u32, height: u32) -> Running {
    let text = format!(
        "videotestsrc is-live=true do-timestamp=true ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 \
         ! queue leaky=downstream max-size-buffers=30 max-size-bytes=0 max-size-time=0 ! videoconvert \
         ! x264enc bitrate=4000 key-int-max=15 speed-preset=ultrafast tune=zerolatency bframes=0 ! h264parse ! queue \
         ! mp4mux fragment-duration=500 ! filesink location={}",
        file.display()
    );
    let own = rustix::process::getpriority_process(None).expect("this process runs");
    let mut command = Command::new("nice");
    command.args(["-n", &(-own).to_string(), "gst-launch-1.0", "-q", "-e"]).args(text.split_whitespace());
    Running::start("gst-launch-1.0", command.stdin(std::process::Stdio::null()))
}

fn wait(pipeline: &mut Running, time: Duration) {
    assert!(pipeline.wait(time).is_none(), "gst-launch-1.0 ended");
}
