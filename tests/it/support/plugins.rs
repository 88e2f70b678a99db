//! Recorders that lack some of GStreamer's plugins.

use super::proc::{Holdfast, entries};
use super::process;
use super::rtsp::PYTHON;
use std::path::Path;
use std::time::Duration;

/// Some hundred plugins are opened, one by one.
const SCANNED_WITHIN: Duration = Duration::from_secs(120);

impl Holdfast {
    /// Lets every process of this recorder do without these plugins of GStreamer (`x265` = `libgstx265.so`).
    pub fn hide_plugins(&mut self, hidden: &[&str]) {
        let core = gst::Registry::get().find_plugin("coreelements").and_then(|plugin| plugin.filename());
        let installed = core.as_deref().and_then(Path::parent).expect("GStreamer has a folder of plugins");
        let folder = self.root().join("plugins");
        std::fs::create_dir(&folder).expect("the folder is new");
        for path in entries(installed) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !hidden.iter().any(|hidden| name == format!("libgst{hidden}.so")) {
                std::os::unix::fs::symlink(&path, folder.join(name)).expect("the folder is ours");
            }
        }
        self.more.push(("GST_PLUGIN_SYSTEM_PATH_1_0", folder));
        self.more.push(("GST_REGISTRY_1_0", self.root().join("registry")));
        // Read once, before many workers would each do it.
        let code = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None)";
        let mut scan = self.command(PYTHON);
        let output = process::run("a scan of plugins", scan.args(["-c", code]), self.root(), SCANNED_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
    }
}
