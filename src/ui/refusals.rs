//! The one place that turns a request that was refused, or that nobody answered, into words of the operator's language.
//!
//! Contract: known by its code, which is stable; the engine's own English is for logs and for the command line.

use super::words;
use crate::protocol::client::ClientError;
use crate::ui::l10n::gettext;

/// What is said of a request that failed.
pub fn words(error: &ClientError) -> String {
    match error {
        ClientError::NoEngine { .. } => gettext("No recorder is running. One is started by itself; try again then."),
        ClientError::Transport(_) | ClientError::Silent => gettext("The recorder did not answer. Try again."),
        ClientError::Protocol(_) => gettext(
            "The recorder answered in a way this window does not understand. Close the window and open it again.",
        ),
        ClientError::Api(refusal) => of_code(&refusal.code).unwrap_or_else(|| {
            words::remedy(&refusal.code).unwrap_or_else(|| gettext("The recorder refused this; its log says why."))
        }),
    }
}

/// What is said of a code of the engine's, `None` = it is none of a request.
fn of_code(code: &str) -> Option<String> {
    Some(match code {
        "session_running" => gettext("A recording is running already. Stop it first."),
        "not_recording" => gettext("Nothing is being recorded."),
        "nothing_to_record" => gettext("There is no input to record. Choose one, or add one to the configuration."),
        "no_space" => gettext("There is too little space on the disk. Free some, then try again."),
        "quota_exceeded" => gettext("The quota on the disk is used up. Free some space or have it raised."),
        "storage_frozen" => gettext("The disk does not answer. Check it, then try again."),
        "storage_vanished" => gettext("The disk with the recordings is gone. Connect it again."),
        "disk_read_only" => gettext("The disk is read-only. Check it, or record to another one."),
        "disk_error" | "storage_failed" | "not_persisted" => {
            gettext("The disk cannot be written to. Check it, then try again.")
        }
        "no_worker" => gettext("The recording process of this input is not there just now. Try again."),
        "too_many_markers" => gettext("This session has as many markers as it can have."),
        "bad_name" => gettext("This name cannot be used."),
        "bad_label" => gettext("This text cannot be used for a marker."),
        "bad_order" => gettext("The inputs have changed meanwhile. Try again."),
        "unknown_input" => gettext("This input is not there any more."),
        "unknown_session" => gettext("This session is not there any more."),
        "unknown_alert" => gettext("This alert is not there any more."),
        "unknown_operation" | "operation_ended" => gettext("This has ended by itself."),
        "not_stuck" => gettext("This still has time. It can be cleaned up once it is stuck."),
        "busy" | "click" | "slow_body" => gettext("The recorder is too busy to answer. Try again."),
        "leaving" => gettext("The recorder is about to end. Try again in a moment."),
        // What a window of this version does not send.
        "key_reused" | "bad_key" | "bad_request" | "bad_body" | "bad_query" | "bad_latency" | "too_large"
        | "not_found" | "method_not_allowed" | "upgrade_required" | "internal" => {
            gettext("The recorder does not understand this window. Close the window and open it again.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::api::ApiError;
    use crate::ui::l10n::speaking;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn refused(code: &str) -> ClientError {
        let message = "the engine's own words".to_owned();
        ClientError::Api(ApiError { code: code.to_owned(), message, retryable: false, trace_id: String::new() })
    }

    /// Every code an answer of the engine can have: what stands behind a status in its sources.
    fn codes(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the sources are there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                codes(&path, found);
                continue;
            }
            // What tests call themselves is no answer.
            let shipped = !path.to_string_lossy().ends_with("tests.rs");
            if let Some(Ok(text)) = shipped.then(|| std::fs::read_to_string(&path)) {
                let parts: Vec<&str> = text.split('"').collect();
                let is_status = |before: &str| {
                    let status =
                        before.trim_end().strip_suffix(',').and_then(|before| before.rsplit(['(', ' ']).next());
                    status.and_then(|status| status.parse::<u16>().ok()).is_some_and(|status| status >= 400)
                        || before.ends_with("code: ")
                };
                let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let words = parts.windows(2).step_by(2).filter(|pair| is_status(pair[0])).map(|pair| pair[1]);
                found.extend(words.filter(plain).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_code_of_the_engine_has_words_and_none_are_its_own() {
        let mut all = BTreeSet::new();
        codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine"), &mut all);
        assert!(all.len() > 25 && all.contains("session_running") && all.contains("disk_read_only"), "{all:?}");
        let without: Vec<_> = all.iter().filter(|code| of_code(code).is_none()).collect();
        assert!(without.is_empty(), "these codes have no words: {without:?}");
        assert_eq!(words(&refused("from_the_future")), "The recorder refused this; its log says why.");
        assert_eq!(words(&refused("disk_full")), "Free some space, then start again.");
    }

    #[test]
    fn a_refusal_is_said_in_the_operators_language() {
        let protocol = ClientError::Protocol("missing field `session_id` at line 1 column 43".to_owned());
        let none = ClientError::NoEngine { socket: "/run/user/1000/holdfast/engine.sock".into() };
        for error in [protocol, none, ClientError::Silent, ClientError::Transport("reset".to_owned()), refused("busy")]
        {
            let (german, english) = (speaking("de", || words(&error)), words(&error));
            assert!(german != english && !german.contains("engine"), "{german}");
            assert!(!english.contains("engine") && !english.contains('`') && !english.contains('/'), "{english}");
        }
    }
}
