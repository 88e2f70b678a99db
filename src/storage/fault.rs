//! What an error of a disk means, as an incident: each kind has its own words, because each has its own remedy. Pure.

use crate::model::incident::{Incident, IncidentCode};
use rustix::io::Errno;
use std::io;

/// The incident behind `error`.
pub fn incident_of(error: &io::Error) -> Incident {
    let code = code_of(error);
    let incident = Incident::new(code);
    match code {
        IncidentCode::StorageVanished | IncidentCode::DiskError => incident.with("reason", error),
        _ => incident,
    }
}

/// Its code.
pub fn code_of(error: &io::Error) -> IncidentCode {
    match error.kind() {
        io::ErrorKind::StorageFull => IncidentCode::DiskFull,
        io::ErrorKind::QuotaExceeded => IncidentCode::QuotaExceeded,
        io::ErrorKind::ReadOnlyFilesystem => IncidentCode::DiskReadOnly,
        io::ErrorKind::TimedOut => IncidentCode::StorageFrozen,
        io::ErrorKind::NotFound | io::ErrorKind::NotConnected | io::ErrorKind::StaleNetworkFileHandle => {
            IncidentCode::StorageVanished
        }
        _ => match Errno::from_io_error(error) {
            Some(Errno::NODEV | Errno::NXIO | Errno::SHUTDOWN) => IncidentCode::StorageVanished,
            _ => IncidentCode::DiskError,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_has_its_own_code() {
        let table = [
            (Errno::NOSPC, IncidentCode::DiskFull),
            (Errno::DQUOT, IncidentCode::QuotaExceeded),
            (Errno::ROFS, IncidentCode::DiskReadOnly),
            (Errno::IO, IncidentCode::DiskError),
            (Errno::ACCESS, IncidentCode::DiskError),
            (Errno::NOENT, IncidentCode::StorageVanished),
            (Errno::NOTCONN, IncidentCode::StorageVanished),
            (Errno::STALE, IncidentCode::StorageVanished),
            (Errno::NODEV, IncidentCode::StorageVanished),
            (Errno::NXIO, IncidentCode::StorageVanished),
            (Errno::TIMEDOUT, IncidentCode::StorageFrozen),
        ];
        for (errno, code) in table {
            assert_eq!(code_of(&errno.into()), code, "{errno}");
        }
        let incident = incident_of(&Errno::IO.into());
        assert!(incident.message().starts_with("The disk refused to write: Input/output error"), "{incident:?}");
        let named = io::Error::new(io::ErrorKind::NotFound, "/library: gone");
        assert!(incident_of(&named).message().contains("/library: gone"));
    }
}
