//! Golden messages and fuzzing of the configuration.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Config, Problem> {
    let mut config = Config::default();
    apply::apply(&mut config, Origin { place: "config.toml", text, lines: true })?;
    Ok(config)
}

fn refusal(text: &str) -> String {
    read(text).expect_err("a refusal").to_string()
}

#[test]
fn a_full_example_is_understood() {
    let config = read(
        r#"
version = 1
[library]
path = "/data"
[recording]
bitrate_kbps = 6000
[storage]
min_free_start = "1GiB"
critical_free = "500MB"
[watchdog]
signal_timeout_ms = 1500
[[input]]
id = "cam1"
name = "Front"
kind = "rtsp"
url = "rtsp://cam/1"
transport = "tcp"
[[input]]
id = "t"
kind = "test"
audio = "silence"
on_signal_loss = "stop"
importance = 5
"#,
    )
    .expect("a good configuration");
    assert_eq!(config.library, Some("/data".into()));
    assert_eq!(config.encoding.bitrate_kbps, 6000);
    assert_eq!(config.storage.min_free_start, 1 << 30);
    assert_eq!(config.policy.critical_free_bytes, 500_000_000);
    assert_eq!(config.policy.signal_timeout.as_millis(), 1500);
    assert_eq!(config.inputs[0].source, SourceSpec::Rtsp { url: "rtsp://cam/1".into(), latency_ms: 200 });
    assert_eq!(config.inputs[1].audio, AudioChoice::Device("silence".into()));
    assert_eq!(config.inputs[1].name, "t");
}

#[test]
fn every_refusal_names_file_line_key_and_what_is_allowed() {
    let table = [
        ("version = 2", "config.toml:1: version: 2 is not known; this program reads version 1"),
        (
            "[recording]\ncontainer = \"mkv\"",
            "config.toml:2: recording.container: \"mkv\" is not available in this version; use \"mp4\"",
        ),
        ("[recording]\ncodec = \"av1\"", "config.toml:2: recording.codec: \"av1\" is not known; use \"h264\""),
        (
            "[storage]\nmin_free_start = \"lots\"",
            "config.toml:2: storage.min_free_start: \"lots\" is not a size; use a size such as \"500MB\", \"2GB\" or \"2GiB\"",
        ),
        (
            "[recording]\nfragment_ms = 5",
            "config.toml:2: recording.fragment_ms: 5 is not allowed; use a number from 100 to 10000",
        ),
        (
            "[recording]\nsplit_minutes = 5",
            "config.toml:2: recording.split_minutes: not available in this version; remove it; each input is written to one file",
        ),
        ("\n[mediamtx]\nurl = \"x\"", "config.toml:2: mediamtx: not available in this version; remove this section"),
        (
            "[[input]]\nid = \"a\"\nkind = \"srt\"",
            "config.toml:3: input.kind: \"srt\" is not available in this version; use one of \"test\", \"v4l2\", \"rtsp\", \"file\"",
        ),
        (
            "[[input]]\nid = \"A\"\nkind = \"test\"",
            "config.toml:2: input.id: input id \"A\" is not allowed: use 1 to 32 of a-z, 0-9, _ and -",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"test\"\non_signal_loss = \"slate\"",
            "config.toml:4: input.on_signal_loss: \"slate\" is not available in this version; use \"split\" or \"stop\"",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"test\"\nurl = \"x\"",
            "config.toml:4: input.url: does not belong to kind \"test\", which has pattern, width, height, fps, tone_hz",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"rtsp\"\nurl = \"rtsp://x\"\ntransport = \"udp\"",
            "config.toml:5: input.transport: \"udp\" is not available in this version; use \"tcp\"",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"file\"",
            "config.toml:1: input.path: is missing; name the media file to play",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"test\"\n[[input]]\nid = \"a\"\nkind = \"test\"",
            "config.toml:5: input.id: \"a\" is used twice; every input needs its own id",
        ),
    ];
    for (text, message) in table {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_known_ones() {
    let message = refusal("version = 1\n\n[storage]\nmin_fre = \"1GB\"");
    assert!(message.starts_with("config.toml:4: unknown field \"min_fre\", expected one of"), "{message}");
    assert!(message.contains("min_free_start"), "{message}");
}

#[test]
fn one_device_twice_is_refused() {
    let input = |id: &str| format!("[[input]]\nid = \"{id}\"\nkind = \"v4l2\"\ndevice = \"/dev/video0\"\n");
    let message = refusal(&(input("a") + &input("b")));
    assert!(message.contains("already belongs to input \"a\""), "{message}");
}

#[test]
fn the_environment_overrides_and_is_named_when_it_is_wrong() {
    let mut config = Config::default();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    config
        .overlay(&[
            variable("HOLDFAST_STORAGE__MIN_FREE_START", "1MB"),
            variable("HOLDFAST_RECORDING__BITRATE_KBPS", "900"),
        ])
        .expect("good values");
    assert_eq!((config.storage.min_free_start, config.encoding.bitrate_kbps), (1_000_000, 900));
    let problem = config.overlay(&[variable("HOLDFAST_RECORDING__CONTAINER", "mkv")]).expect_err("a refusal");
    assert_eq!(
        problem.to_string(),
        "HOLDFAST_RECORDING__CONTAINER: recording.container: \"mkv\" is not available in this version; use \"mp4\""
    );
}

#[test]
fn the_demo_has_four_different_inputs() {
    let inputs = demo_inputs();
    assert_eq!(
        inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(),
        ["Demo 1", "Demo 2", "Demo 3", "Demo 4"]
    );
    assert!(matches!(
        inputs[3].source,
        SourceSpec::Test { pattern: crate::model::input::TestPattern::Checker, tone_hz: 770, .. }
    ));
}

proptest! {
    #[test]
    fn any_text_gives_a_configuration_or_a_problem(text in "\\PC{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn any_mutation_of_a_good_file_gives_a_configuration_or_a_problem(at in 0usize..400, with in any::<char>(), cut in 0usize..40) {
        let good = "version = 1\n[storage]\nmin_free_start = \"2GB\"\n[[input]]\nid = \"a\"\nkind = \"test\"\nwidth = 640\naudio = \"auto\"\n[[input]]\nid = \"b\"\nkind = \"rtsp\"\nurl = \"rtsp://x\"\nlatency_ms = 3\n";
        let mut text: Vec<char> = good.chars().collect();
        let from = at.min(text.len());
        let to = (from + cut).min(text.len());
        text.splice(from..to, [with]);
        let _ = read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_environment_gives_a_configuration_or_a_problem(name in "HOLDFAST_[A-Z_]{0,20}", value in "\\PC{0,20}") {
        let _ = Config::default().overlay(&[(name, value)]);
    }
}
