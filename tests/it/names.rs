//! What sessions are called: templates in a start, and the same answer for whoever asks before.

use crate::record::LIVE_WITHIN;
use crate::support::evidence::manifest;
use crate::support::proc::{Holdfast, test_inputs};
use serde_json::{Value, json};

fn ask(holdfast: &Holdfast, name: &str) -> (u16, Value) {
    let reply = holdfast.api("GET", &format!("/api/v1/recorder/name?name={name}"), &[], None).expect("an answer");
    (reply.status, reply.body)
}

#[test]
fn a_template_names_the_session_as_it_was_told_before() {
    let config = format!("[recording]\nsession_name = \"show {{n}}\"\n{}", test_inputs(1, "auto"));
    let mut holdfast = Holdfast::new(&config);
    for folder in
        ["2026-11-20_10-00-00_take-4_abcd", "2026-11-20_11-00-00_take-2_abce", "2026-11-20_12-00-00_keynote_abcf"]
    {
        std::fs::create_dir_all(holdfast.library().join(folder)).expect("the library is ours");
    }
    holdfast.spawn_engine();
    let (status, take) = ask(&holdfast, "take%20%7Bn%7D");
    assert_eq!((status, &take["name"], &take["number"], &take["taken"]), (200, &json!("take 5"), &json!(5), &json!(0)));
    assert!(take["folder"].as_str().is_some_and(|folder| folder.ends_with("_take-5_…")), "{take}");
    let (_, again) = ask(&holdfast, "keynote");
    assert_eq!((&again["taken"], &again["number"]), (&json!(1), &Value::Null));
    let nobody = holdfast.api("GET", "/api/v1/recorder/name", &[], None).expect("an answer");
    assert_eq!(nobody.body["name"], "show 1");
    for (bad, why) in [("..%2Fup", "/"), ("%20", "1 to 120"), ("a%0Ab", "one line")] {
        let (status, body) = ask(&holdfast, bad);
        assert_eq!((status, &body["code"]), (422, &json!("bad_name")), "{bad}: {body}");
        assert!(body["message"].as_str().is_some_and(|message| message.contains(why)), "{bad}: {body}");
        let start = json!({"name": percent_encoding::percent_decode_str(bad).decode_utf8_lossy()});
        let refused = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&start)).expect("an answer");
        assert_eq!(
            (refused.status, &refused.body),
            (
                422,
                &json!({
                    "code": "bad_name", "message": body["message"], "retryable": false, "trace_id": refused.body["trace_id"],
                })
            )
        );
    }
    let (status, braces) = ask(&holdfast, "Team%20%7BA%7D%20%7Bn%7D");
    assert_eq!((status, &braces["name"]), (200, &json!("Team {A} 1")), "no template, but for what is one");
    holdfast.wait_live(LIVE_WITHIN);
    let key = [("X-Idempotency-Key", "k")];
    let start = || {
        let body = json!({"name": "take {n}"});
        holdfast.api("POST", "/api/v1/recorder/start", &key, Some(&body)).expect("an answer")
    };
    let (first, second) = (start(), start());
    assert_eq!((first.status, second.status, &first.body["name"]), (201, 200, &json!("take 5")));
    assert_eq!(second.body["session_id"], first.body["session_id"], "the same key means the same session");
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    assert!(session.to_string_lossy().contains("_take-5_"), "{}", session.display());
    assert_eq!(manifest(&session)["name"], "take 5");
}
