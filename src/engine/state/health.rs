//! How the recorder is (R-OBS-2): every part with its verdict, from what the state has evidence for.

use super::super::event::Now;
use super::alarms::rate_view;
use super::oversight::MACHINE;
use super::setup::Input;
use super::storage::STORAGE;
use super::view::EVIDENCE_AGE;
use super::{ENGINE, State};
use crate::model::incident::Severity;
use crate::model::snapshot::{AlertState, HealthVerdict, Snapshot};
use crate::protocol::health::{
    BreakerView, HealthReply, MachineMemory, ProcessResources, ServiceHealth, ServiceKind, SourceErrorRate,
};
use crate::sys::usage::Usage;

/// Name of a window among the processes.
const WINDOW: &str = "window";
/// Incidents that tell of a recording process, not of what it is plugged into.
const OF_PROCESSES: [&str; 7] = [
    "worker_died",
    "worker_gave_up",
    "teardown_stuck",
    "command_unanswered",
    "worker_memory",
    "limit_near",
    "operation_stuck",
];

impl State {
    /// Everything but what only the server knows: its process id, its clients, for how long it runs.
    pub fn health(&self, now: Now, snapshot: &Snapshot) -> HealthReply {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let services = self.services(now);
        let arriving = snapshot.inputs.iter().map(|input| input.health.verdict);
        let errors = &self.oversight.errors;
        let rates = errors.rates(now.mono).into_iter().filter(|(_, rate)| rate.total() > 0);
        HealthReply {
            overall: services
                .iter()
                .map(|service| service.verdict)
                .chain(arriving)
                .max()
                .unwrap_or(HealthVerdict::Healthy),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: 0,
            uptime_ms: 0,
            workers: count(snapshot.inputs.iter().filter(|input| input.worker.is_some()).count()),
            inputs: count(snapshot.inputs.len()),
            clients: 0,
            services,
            level: Some(snapshot.level.clone()),
            breakers: snapshot
                .inputs
                .iter()
                .map(|input| BreakerView { name: input.id.to_string(), status: input.breaker, open_count: None })
                .collect(),
            error_rate: Some(rate_view(errors.whole(now.mono))),
            error_rates: rates.map(|(source, rate)| SourceErrorRate { source, rate: rate_view(rate) }).collect(),
            resources: self.process_resources(now),
            memory: self
                .oversight
                .resources
                .memory
                .map(|memory| MachineMemory { total_bytes: memory.total, available_bytes: memory.available }),
            load: Some(self.machine_load()),
            limits: self.oversight.limits(),
            latencies: Vec::new(),
            recovery: self.recovery_views(now),
            operations: self.operations(now),
            alerts: snapshot.alerts,
        }
    }

    fn services(&self, now: Now) -> Vec<ServiceHealth> {
        let service = |kind, name: &str, found: Vec<(HealthVerdict, String)>, version: Option<&str>| {
            let verdict = found.iter().map(|(verdict, _)| *verdict).max().unwrap_or(HealthVerdict::Healthy);
            let reasons = found.into_iter().map(|(_, reason)| reason).collect();
            ServiceHealth { kind, name: name.to_owned(), verdict, reasons, version: version.map(str::to_owned) }
        };
        // An engine that tells of itself is not down, whatever it tells.
        let own = self.told(&[ENGINE, MACHINE], |_| true).into_iter().map(|(_, code)| (HealthVerdict::Degraded, code));
        let engine = service(ServiceKind::Engine, ENGINE, own.collect(), Some(env!("CARGO_PKG_VERSION")));
        let mut disk = self.told(&[STORAGE], |_| true);
        if self.space(now.mono).is_none() {
            disk.push((HealthVerdict::Unhealthy, "no_answer".to_owned()));
        }
        let workers = self.inputs.iter().map(|input| {
            let id = input.spec.id.as_str();
            let mut found = self.told(&[id], |code| OF_PROCESSES.contains(&code));
            found.extend(unheard(now, input));
            service(ServiceKind::Worker, id, found, None)
        });
        let mut services = vec![engine];
        services.extend(workers);
        services.push(service(ServiceKind::Storage, STORAGE, disk, None));
        services
    }

    /// What goes on at these sources and is worth a look, by its code.
    fn told(&self, sources: &[&str], counts: impl Fn(&str) -> bool) -> Vec<(HealthVerdict, String)> {
        let alerts = self.alerts.list().iter().filter(|alert| alert.state == AlertState::Active);
        let told = alerts.filter(|alert| sources.contains(&alert.source.as_str()) && counts(&alert.code));
        let verdict = |severity| match severity {
            Severity::Critical => Some(HealthVerdict::Unhealthy),
            Severity::Warning => Some(HealthVerdict::Degraded),
            Severity::Info => None,
        };
        told.filter_map(|alert| Some((verdict(alert.severity)?, alert.code.clone()))).collect()
    }

    fn process_resources(&self, now: Now) -> Vec<ProcessResources> {
        let processes = self.oversight.processes();
        let row = |name: &str, pid, usage: Option<&Usage>| ProcessResources {
            name: name.to_owned(),
            pid,
            memory_bytes: usage.and_then(|usage| usage.rss_bytes),
            memory_budget_bytes: None,
            cpu_percent: None,
            cpu_budget_percent: None,
            open_files: usage.and_then(|usage| usage.files),
            open_files_limit: usage.and_then(|usage| usage.files_limit),
            threads: usage.and_then(|usage| usage.threads),
            disk_bytes_per_s: None,
            disk_budget_bytes_per_s: None,
            network_bytes_per_s: None,
            load: None,
        };
        let engine = processes.map(|seen| ProcessResources {
            cpu_percent: seen.engine_rates.cpu_percent,
            disk_bytes_per_s: seen.engine_rates.disk_bytes_per_s,
            ..row(ENGINE, std::process::id(), Some(&seen.engine))
        });
        let workers = self.inputs.iter().filter_map(|input| {
            let (id, pid) = (&input.spec.id, input.worker.pid()?);
            let mut seen = processes.into_iter().flat_map(|seen| &seen.workers);
            let usage = seen.find(|(of, seen, _)| of == id && *seen == pid).map(|(.., usage)| usage);
            let budget = self.oversight.memory.get(id).and_then(|memory| memory.budget(&self.setup.supervision));
            Some(ProcessResources {
                memory_bytes: input.usage.rss_bytes.or(usage.and_then(|usage| usage.rss_bytes)),
                memory_budget_bytes: budget,
                cpu_percent: input.usage.cpu_percent,
                cpu_budget_percent: Some(self.setup.degradation.budget_cpu_percent),
                disk_bytes_per_s: input.usage.disk_bytes_per_s,
                disk_budget_bytes_per_s: Some(self.disk_budget()),
                network_bytes_per_s: input.trace.points().last().and_then(|point| point.received_bytes_per_s),
                load: input.load(now),
                ..row(id.as_str(), pid, usage)
            })
        });
        let windows =
            processes.into_iter().flat_map(|seen| &seen.windows).map(|(pid, usage, rates)| ProcessResources {
                cpu_percent: rates.cpu_percent,
                disk_bytes_per_s: rates.disk_bytes_per_s,
                ..row(WINDOW, *pid, Some(usage))
            });
        engine.into_iter().chain(workers).chain(windows).collect()
    }
}

/// Why there is no word from a worker, if there is none.
fn unheard(now: Now, input: &Input) -> Option<(HealthVerdict, String)> {
    let silent = input.status.as_ref().is_none_or(|(at, _)| now.mono.since(*at) >= EVIDENCE_AGE);
    match (input.worker.is_linked(), silent) {
        _ if input.worker.is_quarantined() => None,
        (true, true) if input.status.is_some() => Some((HealthVerdict::Unhealthy, "worker_silent".to_owned())),
        (true, false) => None,
        _ => Some((HealthVerdict::Degraded, "worker_starting".to_owned())),
    }
}
