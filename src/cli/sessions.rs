//! `holdfast sessions`: the newest sessions of the library.

use super::{Outcome, print_json, word};
use crate::protocol::client::{Client, ClientError};

pub(super) async fn run(client: Client, limit: u16, json: bool) -> Result<Outcome, ClientError> {
    let reply = client.sessions(None, usize::from(limit)).await?;
    if json {
        return Ok(print_json(&reply));
    }
    if reply.sessions.is_empty() {
        println!("no sessions");
    }
    for row in &reply.sessions {
        match &row.manifest {
            Some(manifest) => {
                let parts: usize = manifest.inputs.iter().map(|input| input.parts.len()).sum();
                println!("{}  {}  {} inputs, {parts} files", row.dir, word(&manifest.state), manifest.inputs.len());
            }
            None => println!("{}  open", row.dir),
        }
    }
    Ok(Outcome::Done)
}
