//! What the health view says, from the engine's account. Pure.
//!
//! Contract: a number that is not known is a dash, never 0 (R-TRU-3).

use crate::model::snapshot::{HealthVerdict, InputView, PriorityView, Rung, RungResult};
use crate::protocol::health::{HealthReply, ProcessResources, RecoveryView};
use crate::protocol::latency::{Latency, LatencyView};
use crate::ui::format::{UNKNOWN, bytes, fill};
use crate::ui::l10n::{gettext, number};
use crate::ui::table::Cell;

/// Rows of a table, the first of them its head.
pub type Rows = Vec<Vec<Cell>>;

fn head<const N: usize>(names: [String; N]) -> Rows {
    vec![names.into_iter().map(Cell::name).collect()]
}

fn known<T>(value: Option<T>, say: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), say)
}

fn ms(value: f64) -> String {
    if value < 1000.0 { format!("{} ms", number(value, 0)) } else { format!("{} s", number(value / 1000.0, 1)) }
}

/// How long things take that somebody waits for (R-CMD-5).
pub fn latencies(health: &HealthReply) -> Rows {
    let mut rows = head([
        gettext("Waiting for"),
        gettext("95 of 100 within"),
        gettext("promised"),
        gettext("acceptable"),
        String::new(),
    ]);
    let row = |view: &LatencyView| {
        let target = ms(view.target_ms as f64);
        vec![
            Cell::new(waited_for(view.kind)),
            Cell::new(known(view.p95_ms, ms)),
            Cell::new(target),
            Cell::new(ms(view.acceptable_ms as f64)),
            verdict(view),
        ]
    };
    rows.extend(health.latencies.iter().map(row));
    rows
}

fn waited_for(kind: Latency) -> String {
    match kind {
        Latency::Read => gettext("an answer"),
        Latency::Write => gettext("a command"),
        Latency::Event => gettext("a change on the screen"),
        Latency::Preview => gettext("the first picture"),
        Latency::Start => gettext("Record until it is written"),
        Latency::Stop => gettext("Stop until all files are closed"),
    }
}

fn verdict(view: &LatencyView) -> Cell {
    if view.count == 0 {
        return Cell { text: gettext("not yet measured"), class: "word-quiet" };
    }
    match view.verdict {
        HealthVerdict::Healthy => Cell { text: gettext("✓ as promised"), class: "check-ok" },
        HealthVerdict::Degraded => Cell { text: gettext("acceptable"), class: "word-amber" },
        HealthVerdict::Unhealthy => Cell { text: gettext("too slow"), class: "word-tally" },
    }
}

/// What each process uses.
pub fn processes(health: &HealthReply, inputs: &[InputView]) -> Rows {
    let names = [
        gettext("Process"),
        gettext("CPU"),
        gettext("Memory"),
        gettext("Disk"),
        gettext("Network"),
        gettext("Files open"),
    ];
    let mut rows = head(names);
    let row = |process: &ProcessResources| {
        let of = |used: String, budget: Option<String>| match budget {
            Some(most) => fill(&gettext("{used} of {most}"), &[("used", &used), ("most", &most)]),
            None => used,
        };
        let per_second = |rate: u64| format!("{}/s", bytes(rate));
        let percent = |value: f64| format!("{} %", number(value, 1));
        let (cpu_most, disk_most) = (process.cpu_budget_percent.map(f64::from), process.disk_budget_bytes_per_s);
        let memory = |used: u64| of(bytes(used), process.memory_budget_bytes.map(bytes));
        let disk = |used: u64| of(per_second(used), disk_most.map(per_second));
        let cpu = |used: f64| of(percent(used), cpu_most.map(percent));
        let files = known(process.open_files, |open| open.to_string());
        vec![
            Cell::new(named(&process.name, inputs)),
            Cell::new(known(process.cpu_percent, cpu)),
            Cell::new(known(process.memory_bytes, memory)),
            Cell::new(known(process.disk_bytes_per_s, disk)),
            Cell::new(known(process.network_bytes_per_s, per_second)),
            Cell::new(files),
        ]
    };
    rows.extend(health.resources.iter().map(row));
    rows
}

fn named(name: &str, inputs: &[InputView]) -> String {
    match name {
        "engine" => gettext("recorder"),
        "window" => gettext("this window"),
        id => inputs
            .iter()
            .find(|input| input.id.as_str() == id)
            .map_or_else(|| id.to_owned(), |input| input.name.clone()),
    }
}

/// What has gone wrong at each input and was mended.
pub fn recovery(health: &HealthReply, inputs: &[InputView]) -> Rows {
    let names = [
        gettext("Input"),
        gettext("Replaced in the last hour"),
        gettext("Stalls"),
        gettext("Gaps"),
        gettext("Lost in a crash"),
    ];
    let mut rows = head(names);
    let row = |view: &RecoveryView| {
        let replaced = match (view.quarantined, view.restarts_hour) {
            (true, _) => Cell { text: gettext("given up, waits for Retry"), class: "word-amber" },
            (false, times) => Cell::new(times.to_string()),
        };
        let gaps = match view.gaps {
            0 => "0".to_owned(),
            gaps => format!("{gaps} · {}", ms(view.gap_ms as f64)),
        };
        vec![
            Cell::new(named(view.input.as_str(), inputs)),
            replaced,
            Cell::new(view.stalls.to_string()),
            Cell::new(gaps),
            Cell::new(ms(view.lost_ms as f64)),
        ]
    };
    rows.extend(health.recovery.iter().map(row));
    rows
}

/// What priority was really achieved, rung by rung (R-SUP-7).
pub fn priority(priority: &PriorityView) -> Rows {
    let mut rows = head([gettext("Priority"), String::new()]);
    rows.extend(priority.rungs.iter().map(|view| {
        let (words, class) = match view.result {
            RungResult::Granted => (gettext("✓ granted"), "check-ok"),
            RungResult::Partly => (gettext("partly"), "word-amber"),
            RungResult::Refused => (gettext("refused"), "word-amber"),
            RungResult::Absent => (gettext("not there"), "word-quiet"),
            RungResult::NotNeeded => (gettext("not needed"), "word-quiet"),
        };
        // Why, in detail, is for whoever looks after the machine: it stands in the log and in the API, in English.
        vec![Cell::new(rung(view.rung)), Cell { text: words, class }]
    }));
    rows
}

fn rung(rung: Rung) -> String {
    match rung {
        Rung::Inherited => gettext("given at the start"),
        Rung::Setpriority => gettext("processor time"),
        Rung::Portal => gettext("the desktop's helper"),
        Rung::Rtkit => "RealtimeKit".to_owned(),
        Rung::UiLowered => gettext("the window steps back"),
        Rung::Group => gettext("among other sessions"),
        Rung::Io => gettext("disk time"),
        Rung::Affinity => gettext("processors of its own"),
        Rung::Oom => gettext("spared when memory runs out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::InputState;
    use crate::ui::desk::tests::input;

    #[test]
    fn an_unknown_number_is_a_dash_and_an_input_has_its_own_name() {
        let process = ProcessResources {
            name: "cam1".to_owned(),
            pid: 1,
            memory_bytes: Some(80_000_000),
            memory_budget_bytes: Some(200_000_000),
            cpu_percent: Some(12.34),
            cpu_budget_percent: Some(15),
            open_files: None,
            open_files_limit: None,
            threads: None,
            disk_bytes_per_s: Some(700_000),
            disk_budget_bytes_per_s: Some(5_000_000),
            network_bytes_per_s: None,
            load: None,
        };
        let health: HealthReply =
            serde_json::from_str(include_str!("../../../tests/golden/reply_health.json")).expect("golden");
        let rows = processes(&HealthReply { resources: vec![process], ..health }, &[input("cam1", InputState::Live)]);
        let said: Vec<_> = rows[1].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(said, ["HDMI 1", "12.3 % of 15 %", "80 MB of 200 MB", "700 kB/s of 5 MB/s", UNKNOWN, UNKNOWN]);
    }

    #[test]
    fn what_was_never_waited_for_has_no_verdict() {
        let view = |count, verdict| LatencyView {
            kind: Latency::Start,
            count,
            p95_ms: None,
            max_ms: None,
            last_ms: None,
            over: 0,
            target_ms: 1000,
            acceptable_ms: 3000,
            verdict,
        };
        assert_eq!(verdict(&view(0, HealthVerdict::Healthy)).class, "word-quiet");
        assert_eq!(verdict(&view(3, HealthVerdict::Unhealthy)).class, "word-tally");
        assert_eq!((ms(50.0), ms(1500.0)), ("50 ms".to_owned(), "1.5 s".to_owned()));
    }
}
