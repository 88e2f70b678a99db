//! Files like those of a camera, made by ffmpeg: a picture that flashes white and a sound that ticks, together,
//! at every full second.

use super::process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Making some seconds of a small film takes about one second; this is for a machine under full load.
const MADE_WITHIN: Duration = Duration::from_secs(120);
/// Frames per second of every file.
pub const FPS: u32 = 30;
/// Length of a flash in frames, and of a tick in the same time.
pub const FLASH_FRAMES: u32 = 3;

/// An ordinary camera film (`.mp4`, `.mkv` or `.mov` by its name): 320×240 at 30 with H.264 (B-frames, GOP 1 s) and AAC.
pub fn camera(path: &Path, seconds: u32) {
    make(path, seconds, "320x240", &[]);
}

/// The same in another size (`WxH`).
pub fn camera_of_size(path: &Path, seconds: u32, size: &str) {
    make(path, seconds, size, &[]);
}

/// The same with further options of ffmpeg, which override those above.
pub fn camera_with(path: &Path, seconds: u32, options: &[&str]) {
    make(path, seconds, "320x240", options);
}

/// The same as a fragmented MP4 that only ever grew.
pub fn fragmented(path: &Path, seconds: u32) {
    make(path, seconds, "320x240", &["-movflags", "frag_keyframe+empty_moov+default_base_moof"]);
}

fn make(path: &Path, seconds: u32, size: &str, more: &[&str]) {
    let on = f64::from(FLASH_FRAMES) / f64::from(FPS);
    let flash = format!("drawbox=color=white:t=fill:enable='lt(mod(t,1),{on}-0.001)'");
    let picture = format!("testsrc2=size={size}:rate={FPS},colorchannelmixer=rr=0.4:gg=0.4:bb=0.4,{flash}");
    let sound = format!("aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),{on})':sample_rate=48000:channel_layout=stereo");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
    command.args(["-t", &seconds.to_string(), "-c:v", "libx264", "-preset", "veryfast", "-g", &FPS.to_string()]);
    command.args(["-pix_fmt", "yuv420p", "-c:a", "aac"]).args(more).arg(path);
    let folder = path.parent().expect("a file lies in a folder");
    let output = process::run("ffmpeg", &mut command, folder, MADE_WITHIN);
    assert_eq!(output.code, Some(0), "ffmpeg: {}", output.stderr);
}
