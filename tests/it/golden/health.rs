//! Health and operations, with every field filled.

use holdfast::model::shed::WorkerLoad;
use holdfast::model::snapshot::{AlertCounts, BreakerState, HealthVerdict, LevelName, LevelView};
use holdfast::protocol::api::*;

/// A reply to `GET /api/v1/health`.
pub fn health(alerts: AlertCounts) -> HealthReply {
    HealthReply {
        overall: HealthVerdict::Healthy,
        version: "0.1.0".into(),
        pid: 1,
        uptime_ms: 1,
        workers: 1,
        inputs: 1,
        clients: 1,
        services: vec![ServiceHealth {
            kind: ServiceKind::Worker,
            name: "cam1".into(),
            verdict: HealthVerdict::Degraded,
            reasons: vec!["worker_memory".into()],
            version: None,
        }],
        level: Some(LevelView {
            name: LevelName::Normal,
            causes: Vec::new(),
            actions: Vec::new(),
            cpu_percent: Some(20),
        }),
        breakers: vec![BreakerView { name: "cam1".into(), status: BreakerState::Closed, open_count: None }],
        error_rate: Some(rate()),
        error_rates: vec![SourceErrorRate { source: "cam1".into(), rate: rate() }],
        resources: vec![ProcessResources {
            name: "cam1".into(),
            pid: 123,
            memory_bytes: Some(1),
            memory_budget_bytes: None,
            cpu_budget_percent: Some(15),
            disk_budget_bytes_per_s: Some(5_000_000),
            cpu_percent: Some(7.5),
            open_files: Some(40),
            open_files_limit: Some(1024),
            threads: Some(20),
            disk_bytes_per_s: Some(750_000),
            network_bytes_per_s: None,
            load: Some(WorkerLoad { queue_percent: 3, late_ms: Some(33), bitrate_adjustable: true }),
        }],
        memory: Some(MachineMemory { total_bytes: 2, available_bytes: 1 }),
        load: Some(MachineLoad { cpu_percent: Some(40.5), pressure_percent: Some(3.5), memory_percent: Some(50.0) }),
        limits: vec![LimitView { source: "engine".into(), what: "open files".into(), used: 40, limit: 1024 }],
        latencies: vec![latency()],
        recovery: vec![RecoveryView {
            input: "cam1".parse().expect("an id"),
            restarts_hour: 1,
            last_restart_ms_ago: Some(61_000),
            attempts: 1,
            attempts_max: 3,
            quarantined: false,
            stalls: 0,
            gaps: 1,
            gap_ms: 800,
            lost_ms: 250,
        }],
        operations: operations(),
        alerts,
    }
}

/// A reply to `GET /api/v1/operations`.
pub fn operations() -> OperationsReply {
    let operation = OperationView {
        id: 7,
        kind: OperationKind::Stop,
        source: "cam1".into(),
        since_ms: 21_000,
        deadline_ms: 20_000,
        stuck: true,
        cancellable: true,
    };
    OperationsReply { count: 1, stuck: 1, action_required: true, operations: vec![operation] }
}

/// How long a start takes.
pub fn latency() -> LatencyView {
    LatencyView {
        kind: Latency::Start,
        count: 3,
        p95_ms: Some(812.4),
        max_ms: Some(812.4),
        last_ms: Some(640.0),
        over: 0,
        target_ms: 1000,
        acceptable_ms: 3000,
        verdict: HealthVerdict::Healthy,
    }
}

fn rate() -> ErrorRate {
    ErrorRate { errors: 1, successes: 99, total: 100, percent: Some(1.0), window_s: 300 }
}
