//! Golden messages and fuzzing of the configuration.

use super::*;
use crate::model::encoding::{AudioCodec, Container, VideoChoice};
use crate::model::input::Transport;
use crate::model::policy::{Split, StallAction};
use proptest::prelude::*;

fn read(text: &str) -> Result<Config, Problem> {
    let (mut config, mut marks) = (Config::default(), Marks::default());
    apply::apply(&mut config, &mut marks, Origin { place: "config.toml", text, lines: true })?;
    pairs::check(&config, &marks)?;
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
warn_free = "20GB"
warn_used_percent = 70
critical_used_percent = 90
[watchdog]
signal_timeout_ms = 1500
stall_action = "stop"
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
    let rules = config.storage;
    assert_eq!((rules.warn_free, rules.warn_used_percent, rules.critical_used_percent), (20_000_000_000, 70, 90));
    assert_eq!(config.policy.signal_timeout.as_millis(), 1500);
    assert_eq!(config.policy.stall_action, StallAction::Stop);
    assert_eq!(Config::default().policy.stall_action, StallAction::Restart);
    assert_eq!(
        config.inputs[0].source,
        SourceSpec::Rtsp { url: "rtsp://cam/1".into(), transport: Transport::Tcp, latency_ms: 200 }
    );
    assert_eq!(config.inputs[1].audio, AudioChoice::Device("silence".into()));
    assert_eq!(config.inputs[1].name, "t");
}

#[test]
fn every_refusal_names_file_line_key_and_what_is_allowed() {
    let table = [
        ("version = 2", "config.toml:1: version: 2 is not known; this program reads version 1"),
        (
            "[recording]\ncontainer = \"mov\"",
            "config.toml:2: recording.container: \"mov\" is not available in this version; use one of \"mp4\", \"mkv\"",
        ),
        (
            "[recording]\ncontainer = \"avi\"",
            "config.toml:2: recording.container: \"avi\" is not known; use one of \"mp4\", \"mkv\"",
        ),
        (
            "[recording]\ncodec = \"av1\"",
            "config.toml:2: recording.codec: \"av1\" is not known; use one of \"h264\", \"h265\", \"copy\"",
        ),
        (
            "[recording]\naudio_codec = \"mp3\"",
            "config.toml:2: recording.audio_codec: \"mp3\" is not known; use one of \"aac\", \"opus\", \"pcm\"",
        ),
        (
            "[recording]\naudio_codec = \"pcm\"",
            "config.toml:2: recording.audio_codec: \"pcm\" cannot be written to container \"mp4\"; use \"aac\" or \"opus\", or container \"mkv\"",
        ),
        (
            "[[input]]\nid = \"a\"\nkind = \"test\"\ncodec = \"copy\"",
            "config.toml:4: input.codec: \"copy\" is for inputs that arrive encoded (kind \"rtsp\"); use \"h264\" or \"h265\" for \"a\" (kind \"test\")",
        ),
        (
            "[recording]\ncodec = \"copy\"\n[[input]]\nid = \"n\"\nkind = \"rtsp\"\nurl = \"rtsp://x\"\n[[input]]\nid = \"f\"\nkind = \"file\"\npath = \"/f\"",
            "config.toml:7: input.codec: \"copy\" (recording.codec) is for inputs that arrive encoded (kind \"rtsp\"); use \"h264\" or \"h265\" for \"f\" (kind \"file\")",
        ),
        (
            "[storage]\nmin_free_start = \"lots\"",
            "config.toml:2: storage.min_free_start: \"lots\" is not a size; use a size such as \"500MB\", \"2GB\" or \"2GiB\"",
        ),
        ("[storage]\nwarn_free = 5", "config.toml:2: invalid type: integer \"5\", expected a string"),
        (
            "[storage]\nwarn_used_percent = 101",
            "config.toml:2: storage.warn_used_percent: 101 is not allowed; use a number from 1 to 100",
        ),
        (
            "[storage]\ncritical_used_percent = 0",
            "config.toml:2: storage.critical_used_percent: 0 is not allowed; use a number from 1 to 100",
        ),
        (
            "[storage]\ncritical_free = \"1GB\"\nwarn_free = \"500MB\"",
            "config.toml:3: storage.warn_free: 500 MB is below storage.critical_free, where recordings are ended; use at least 1 GB, or a smaller storage.critical_free",
        ),
        (
            "[storage]\nstop_new_free = \"500MB\"",
            "config.toml:2: storage.stop_new_free: 500 MB is below storage.critical_free, where recordings are ended; use at least 1 GB, or a smaller storage.critical_free",
        ),
        (
            "[storage]\nmin_free_start = \"3GB\"\ncritical_free = \"4GB\"",
            "config.toml:2: storage.min_free_start: 3 GB is below storage.critical_free, where recordings are ended; use at least 4 GB, or a smaller storage.critical_free",
        ),
        (
            "[storage]\nwarn_used_percent = 96",
            "config.toml:2: storage.warn_used_percent: 96 is above storage.critical_used_percent; use at most 95, or a greater storage.critical_used_percent",
        ),
        (
            "[watchdog]\nstall_shown_ms = 40000",
            "config.toml:2: watchdog.stall_shown_ms: 40000 is above watchdog.stall_restart_ms; use at most 30000, or a greater watchdog.stall_restart_ms",
        ),
        (
            "[retry]\nfirst_ms = 5000\ncap_ms = 4000",
            "config.toml:2: retry.first_ms: 5000 is above retry.cap_ms; use at most 4000, or a greater retry.cap_ms",
        ),
        (
            "[recording]\nfragment_ms = 5",
            "config.toml:2: recording.fragment_ms: 5 is not allowed; use a number from 100 to 1000",
        ),
        (
            "[watchdog]\nstall_action = \"reboot\"",
            "config.toml:2: watchdog.stall_action: \"reboot\" is not known; use one of \"restart\", \"stop\"",
        ),
        (
            "[recording]\nsession_name = \"take {nr}\"",
            "config.toml:2: recording.session_name: there is no {nr}; use {date}, {time} or {n}, and {{ for a brace",
        ),
        (
            "[recording]\nsplit_minutes = -5",
            "config.toml:2: recording.split_minutes: -5 is not allowed; use 0 for never, or a number from 0.05 to 10080",
        ),
        (
            "[recording]\nsplit_bytes = \"10KB\"",
            "config.toml:2: recording.split_bytes: \"10KB\" is not allowed; use a size such as \"500MB\", \"2GB\" or \"2GiB\" of at least 1 MB, or 0 for no limit",
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
            "[[input]]\nid = \"a\"\nkind = \"rtsp\"\nurl = \"rtsp://x\"\ntransport = \"sctp\"",
            "config.toml:5: input.transport: \"sctp\" is not known; use one of \"auto\", \"tcp\", \"udp\"",
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
fn what_the_engine_watches_can_be_set_and_is_checked() {
    let config = read(
        "[supervision]\nmemory_baseline_ms = 5000\nmemory_margin = \"32MB\"\nmemory_floor = \"1GB\"\n\
         min_free_memory = \"500MB\"\nwarn_memory_percent = 80\nwarn_limit_percent = 70\noperation_start_ms = 5000\n\
         operation_stop_ms = 6000\noperation_finalise_ms = 7000\noperation_verify_ms = 8000\n\
         alert_command = [\"notify-send\", \"Holdfast\"]\nalert_command_limit_ms = 2000\n",
    );
    let rules = config.expect("a good configuration").supervision;
    assert_eq!(
        (rules.memory_baseline.as_secs(), rules.memory_margin, rules.memory_floor),
        (5, 32_000_000, 1_000_000_000)
    );
    assert_eq!((rules.min_free_memory, rules.warn_memory_percent, rules.warn_limit_percent), (500_000_000, 80, 70));
    let deadlines = [rules.operation_start, rules.operation_stop, rules.operation_finalise, rules.operation_verify];
    assert_eq!(deadlines.map(|deadline| deadline.as_secs()), [5, 6, 7, 8]);
    assert_eq!((rules.alert_command.len(), rules.alert_command_limit.as_secs()), (2, 2));
    assert_eq!(read("[supervision]\nalert_command = []").map(|config| config.supervision), Ok(Default::default()));
    for (key, wrong) in [
        ("memory_baseline_ms", "10"),
        ("memory_margin", "\"lots\""),
        ("warn_memory_percent", "0"),
        ("warn_limit_percent", "101"),
        ("operation_stop_ms", "1"),
        ("alert_command", "[\"\"]"),
        ("alert_command", "[\" \", \"x\"]"),
        ("alert_command_limit_ms", "99"),
    ] {
        let problem = refusal(&format!("[supervision]\n{key} = {wrong}"));
        assert!(problem.starts_with(&format!("config.toml:2: supervision.{key}: ")), "{problem}");
    }
    assert!(refusal("[supervision]\nalert_command = \"notify-send\"").contains("config.toml:2"));
}

#[test]
fn one_device_twice_is_refused() {
    let input = |id: &str| format!("[[input]]\nid = \"{id}\"\nkind = \"v4l2\"\ndevice = \"/dev/video0\"\n");
    let message = refusal(&(input("a") + &input("b")));
    assert!(message.contains("already belongs to input \"a\""), "{message}");
}

#[test]
fn every_format_of_this_version_is_understood() {
    let config = read(
        "[recording]\ncontainer = \"mkv\"\ncodec = \"h265\"\naudio_codec = \"pcm\"\n\
         [[input]]\nid = \"n\"\nkind = \"rtsp\"\nurl = \"rtsp://x\"\ntransport = \"auto\"\ncodec = \"copy\"\n\
         [[input]]\nid = \"t\"\nkind = \"test\"",
    )
    .expect("a good configuration");
    let encoding = &config.encoding;
    assert_eq!((encoding.container, encoding.audio_codec), (Container::Mkv, AudioCodec::Pcm));
    let choices = config.inputs.iter().map(|input| input.video_choice(encoding.codec)).collect::<Vec<_>>();
    assert_eq!(choices, [VideoChoice::Copy, VideoChoice::H265]);
    assert!(matches!(config.inputs[0].source, SourceSpec::Rtsp { transport: Transport::Auto, .. }));
}

#[test]
fn parts_are_limited_by_time_and_size_or_not_at_all() {
    let split = |keys: &str| read(&format!("[recording]\n{keys}")).expect("a good configuration").policy.split;
    assert_eq!(split(""), Split::default());
    assert_eq!(split("split_minutes = 90").after, Some(std::time::Duration::from_secs(5400)));
    assert_eq!(split("split_minutes = 0.5").after, Some(std::time::Duration::from_secs(30)));
    assert_eq!(split("split_minutes = 0"), Split { after: None, bytes: None });
    assert_eq!(split("split_bytes = \"4GiB\"").bytes, Some(4 << 30));
    assert_eq!(split("split_bytes = 2000000").bytes, Some(2_000_000));
    assert_eq!(split("split_bytes = 0").bytes, None);
}

#[test]
fn a_pair_that_only_the_environment_completes_is_judged_as_a_whole() {
    let overlaid = |text: &str, variables: &[(&str, &str)]| {
        let (mut config, mut marks) = (Config::default(), Marks::default());
        apply::apply(&mut config, &mut marks, Origin { place: "config.toml", text, lines: true })?;
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        config.overlay(&mut marks, &variables)?;
        pairs::check(&config, &marks)
    };
    // Nor is a floor that somebody raises held against those he has not named: they give way.
    assert_eq!(overlaid("", &[("HOLDFAST_STORAGE__CRITICAL_FREE", "20GB")]), Ok(()));
    assert_eq!(overlaid("[storage]\nwarn_free = \"1GB\"", &[("HOLDFAST_STORAGE__CRITICAL_FREE", "1GB")]), Ok(()));
    let problem = overlaid("[storage]\nwarn_free = \"10GB\"", &[("HOLDFAST_STORAGE__CRITICAL_FREE", "20GB")]);
    let said = problem.expect_err("it would warn too late").to_string();
    assert!(said.starts_with("config.toml:2: storage.warn_free: 10 GB is below storage.critical_free"), "{said}");
    let pcm = "[recording]\naudio_codec = \"pcm\"";
    assert_eq!(overlaid(pcm, &[("HOLDFAST_RECORDING__CONTAINER", "mkv")]), Ok(()));
    let problem = overlaid(
        &format!("{pcm}\ncontainer = \"mkv\""),
        &[("HOLDFAST_RECORDING__AUDIO_CODEC", "pcm"), ("HOLDFAST_RECORDING__CONTAINER", "mp4")],
    );
    let said = problem.expect_err("pcm does not go into mp4").to_string();
    assert!(said.starts_with("HOLDFAST_RECORDING__AUDIO_CODEC: recording.audio_codec: \"pcm\" cannot"), "{said}");
}

#[test]
fn the_environment_takes_every_kind_of_value() {
    let overlaid = |value: &str| {
        let (mut config, mut marks) = (Config::default(), Marks::default());
        let variable = ("HOLDFAST_RECORDING__SPLIT_MINUTES".to_owned(), value.to_owned());
        config.overlay(&mut marks, &[variable]).map(|()| config.policy.split.after)
    };
    assert_eq!(overlaid("0.5"), Ok(Some(std::time::Duration::from_secs(30))));
    assert_eq!(overlaid("2"), Ok(Some(std::time::Duration::from_secs(120))));
    for value in ["inf", "NaN", "true", "1e300", "-0.5", "soon"] {
        assert!(overlaid(value).is_err(), "{value}");
    }
    assert_eq!(typed("true"), toml::Value::Boolean(true));
    assert_eq!(typed("inf"), toml::Value::String("inf".to_owned()));
}

#[test]
fn the_environment_overrides_and_is_named_when_it_is_wrong() {
    let (mut config, mut marks) = (Config::default(), Marks::default());
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    config
        .overlay(
            &mut marks,
            &[variable("HOLDFAST_STORAGE__MIN_FREE_START", "1MB"), variable("HOLDFAST_RECORDING__BITRATE_KBPS", "900")],
        )
        .expect("good values");
    assert_eq!((config.storage.min_free_start, config.encoding.bitrate_kbps), (1_000_000, 900));
    let problem =
        config.overlay(&mut marks, &[variable("HOLDFAST_RECORDING__CONTAINER", "mov")]).expect_err("a refusal");
    assert_eq!(
        problem.to_string(),
        "HOLDFAST_RECORDING__CONTAINER: recording.container: \"mov\" is not available in this version; use one of \"mp4\", \"mkv\""
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
        let _ = Config::default().overlay(&mut Marks::default(), &[(name, value)]);
    }
}

#[test]
fn limits_of_load_have_an_order_and_budgets_a_size() {
    let text = "[degradation]\ncpu_warn_percent = 50\nlate_ms = 400\nlow_memory = \"300MB\"\n[budgets]\n\
                cpu_percent = 25\ndisk_per_second = \"8MB\"\n";
    let rules = read(text).expect("good limits").degradation;
    assert_eq!((rules.cpu_warn_percent, rules.cpu_degrade_percent, rules.late.as_millis()), (50, 70, 400));
    assert_eq!((rules.low_memory, rules.budget_cpu_percent, rules.budget_disk), (300_000_000, 25, 8_000_000));
    let wrong = refusal("[degradation]\ncpu_degrade_percent = 90\n");
    assert!(
        wrong.starts_with("config.toml:2: degradation.cpu_degrade_percent: 90 is above degradation.cpu_critical"),
        "{wrong}"
    );
    let wrong = refusal("[degradation]\nmemory_warn_percent = 0\n");
    assert_eq!(wrong, "config.toml:2: degradation.memory_warn_percent: 0 is not allowed; use a number from 1 to 100");
}
