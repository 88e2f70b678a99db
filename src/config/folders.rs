//! The user's folders after the XDG specifications.

use std::path::{Path, PathBuf};

/// `$HOME`, `None` when unset or not absolute.
pub fn home() -> Option<PathBuf> {
    absolute_var("HOME")
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn config_home() -> Option<PathBuf> {
    absolute_var("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))
}

/// The user's folder for videos (xdg-user-dirs), `None` when not configured or missing.
pub fn videos() -> Option<PathBuf> {
    let home = home()?;
    let text = std::fs::read_to_string(config_home()?.join("user-dirs.dirs")).ok()?;
    parse_videos(&text, &home).filter(|dir| dir.is_dir())
}

/// Where a library goes when nobody said: `name` in the videos folder, else in the home folder.
pub fn default_library(name: &str) -> Option<PathBuf> {
    Some(videos().or_else(home)?.join(name))
}

fn absolute_var(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// `XDG_VIDEOS_DIR="$HOME/Videos"`, in shell syntax, of which only `$HOME/…` and absolute paths are specified.
fn parse_videos(text: &str, home: &Path) -> Option<PathBuf> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("XDG_VIDEOS_DIR="))?;
    let value = value.trim().trim_matches('"');
    match value.strip_prefix("$HOME") {
        // The specification switches a folder off by pointing it at the home folder.
        Some("" | "/") => None,
        Some(below) => Some(home.join(below.strip_prefix('/')?)),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_videos_folder_is_found_below_home_or_absolute() {
        let home = Path::new("/home/op");
        let parse = |value: &str| parse_videos(&format!("# c\nXDG_VIDEOS_DIR={value}\n"), home);
        assert_eq!(parse("\"$HOME/Vidéos\""), Some("/home/op/Vidéos".into()));
        assert_eq!(parse("\"/data/v\""), Some("/data/v".into()));
        assert_eq!(parse("\"$HOME/\""), None);
        assert_eq!(parse("\"relative\""), None);
        assert_eq!(parse_videos("", home), None);
    }
}
