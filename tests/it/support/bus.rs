//! A system or session bus of a test's own, and who lives on it: the real RealtimeKit, or stand-ins.
//!
//! Contract: everybody may connect, own and call; it ends with the test.

use super::proc::Holdfast;
use super::process::{self, Running};
use std::path::Path;
use std::time::Duration;

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/bus_services.py");
/// Debian's, which has `gi`.
const PYTHON: &str = "/usr/bin/python3";
/// Where Debian puts it.
const RTKIT: &str = "/usr/libexec/rtkit-daemon";
const UP_WITHIN: Duration = Duration::from_secs(10);

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_type="method_call"/>
    <allow send_destination="*" eavesdrop="true"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// See the module.
#[derive(Debug)]
pub struct Bus {
    /// What `DBUS_…_BUS_ADDRESS` is to be.
    pub address: String,
    running: Vec<Running>,
}

impl Bus {
    /// Starts it for the test of `holdfast`.
    pub fn start(holdfast: &Holdfast) -> Self {
        let path = |name: &str| holdfast.root().join(name);
        let config = CONFIG.replace("SOCKET", &path("bus").to_string_lossy());
        std::fs::write(path("bus.conf"), config).expect("the folder takes files");
        let mut daemon = holdfast.command("dbus-daemon");
        daemon.arg(format!("--config-file={}", path("bus.conf").display()));
        daemon.args(["--nofork", "--nopidfile", "--print-address=1"]).stderr(process::log_file(&path("bus.log")));
        let (daemon, _) = Running::start_and_hear("dbus-daemon", &mut daemon, UP_WITHIN);
        Self { address: format!("unix:path={}", path("bus").display()), running: vec![daemon] }
    }

    /// Adds the real RealtimeKit, and somebody who answers its questions to PolicyKit with yes. `false` = not installed.
    pub fn add_realtime_kit(&mut self, holdfast: &Holdfast) -> bool {
        if !Path::new(RTKIT).exists() {
            return false;
        }
        self.add(holdfast, "polkit");
        let mut rtkit = holdfast.command(RTKIT);
        rtkit.args(["--stderr", "--no-canary", "--no-limit-resources"]).env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        rtkit.stdout(process::log_file(&holdfast.root().join("rtkit.log")));
        rtkit.stderr(process::log_file(&holdfast.root().join("rtkit.log")));
        self.running.push(Running::start("RealtimeKit", &mut rtkit));
        self.add(holdfast, "wait:org.freedesktop.RealtimeKit1");
        true
    }

    /// Adds a stand-in (see `bus_services.py`), and waits until it is there.
    pub fn add(&mut self, holdfast: &Holdfast, role: &str) {
        self.running.push(stand_in(holdfast, role, &self.address));
    }
}

/// A stand-in (see `bus_services.py`) on the bus at `address`, once it is there.
pub fn stand_in(holdfast: &Holdfast, role: &str, address: &str) -> Running {
    let mut python = holdfast.command(PYTHON);
    python.args([SERVICES, role]).env("DBUS_SYSTEM_BUS_ADDRESS", address);
    python.stderr(process::log_file(&holdfast.root().join("services.log")));
    Running::start_and_hear(role, &mut python, UP_WITHIN).0
}
