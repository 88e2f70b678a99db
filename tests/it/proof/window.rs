//! The window after Stop: what is being checked, and what was found, in words on each tile.

use super::crash::catch;
use super::wait_verdict;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::display::Display;
use crate::support::evidence::{clean_verdict, manifest};
use crate::support::proc::{Holdfast, test_inputs};
use rustix::process::Signal;
use std::time::Duration;

const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];
/// On a machine under full load a start may come late, which is a gap, and said.
const RECORDINGS: u32 = 3;

/// Leaves a picture to be looked at where `HOLDFAST_SHOTS` says.
fn shot(holdfast: &Holdfast, display: &mut Display, name: &str) {
    let shot = display.shot(holdfast);
    if let Some(folder) = std::env::var_os("HOLDFAST_SHOTS") {
        std::fs::copy(&shot.file, std::path::Path::new(&folder).join(format!("{name}.png"))).expect("a copy");
    }
}

/// Records all inputs, again if one came late, and looks meanwhile; the prover of what was recorded, held until somebody
/// has seen it at work.
fn recorded(holdfast: &Holdfast, look: impl Fn()) -> u32 {
    let mut before = None;
    for _ in 0..RECORDINGS {
        start(holdfast, &INPUTS);
        look();
        wait_media(holdfast, "cam4", Duration::from_secs(2));
        holdfast.cli_ok(&["record", "stop", "--no-wait"]);
        let prover = catch(holdfast, before);
        if clean_verdict(&manifest(&holdfast.session()), &INPUTS) == "ok" {
            return prover;
        }
        holdfast.signal(prover, Signal::CONT);
        assert_eq!(wait_verdict(holdfast)["verdict"], "warning");
        before = Some(prover);
    }
    panic!("{RECORDINGS} starts came late: {:#}", manifest(&holdfast.session()));
}

#[test]
fn each_tile_says_what_was_found_in_its_file() {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    holdfast.spawn_engine();
    let mut display = Display::start(&holdfast, 1280, 800);
    let _window = display.window(&holdfast, &[]);
    holdfast.wait_live(LIVE_WITHIN);

    let prover = recorded(&holdfast, || {});
    display.atspi_ok(&holdfast, &["wait", "Checking 0 %"]);
    display.atspi_ok(&holdfast, &["wait", "checking the file · 0 %"]);
    shot(&holdfast, &mut display, "checking");
    // Gone before it was looked at: the first file is the first that is read.
    std::fs::rename(holdfast.session().join("cam4.mp4"), holdfast.root().join("cam4.mp4")).expect("moved away");
    holdfast.signal(prover, Signal::CONT);
    assert_eq!(wait_verdict(&holdfast)["verdict"], "failed");
    let said = "test: something that was recorded cannot be read · see the alerts";
    display.atspi_ok(&holdfast, &["wait", said]);
    display.atspi_ok(&holdfast, &["wait", "file damaged or missing"]);
    display.atspi_ok(&holdfast, &["wait", "file proved"]);
    display.atspi_ok(&holdfast, &["wait", "Ready"]);
    shot(&holdfast, &mut display, "failed");

    let prover = recorded(&holdfast, || drop(display.atspi_ok(&holdfast, &["gone", "file proved"])));
    // Held until somebody looks: what is said goes again by itself.
    display.atspi_ok(&holdfast, &["wait", "Checking 0 %"]);
    holdfast.signal(prover, Signal::CONT);
    display.atspi_ok(&holdfast, &["wait", "test saved · 4 of 4 files proved"]);
    shot(&holdfast, &mut display, "proved");
    display.atspi_ok(&holdfast, &["gone", "file damaged or missing"]);
}
