//! `holdfast sessions`: the newest sessions of the library.

use super::{Outcome, print_json, word};
use crate::protocol::api::SessionsReply;
use crate::protocol::client::{Client, ClientError};

pub(super) async fn run(client: Client, limit: u16, json: bool) -> Result<Outcome, ClientError> {
    let reply = newest(&client, usize::from(limit)).await?;
    if json {
        return Ok(print_json(&reply));
    }
    if reply.sessions.is_empty() {
        println!("no sessions");
    }
    for row in &reply.sessions {
        match &row.manifest {
            Some(manifest) if row.shortened => {
                println!("{}  {}  {} inputs, many files", row.dir, word(&manifest.state), manifest.inputs.len());
            }
            Some(manifest) => {
                let parts: usize = manifest.inputs.iter().map(|input| input.parts.len()).sum();
                println!("{}  {}  {} inputs, {parts} files", row.dir, word(&manifest.state), manifest.inputs.len());
            }
            None => println!("{}  open", row.dir),
        }
    }
    Ok(Outcome::Done)
}

/// The newest `limit` sessions, in as many pages as it takes.
async fn newest(client: &Client, limit: usize) -> Result<SessionsReply, ClientError> {
    let mut reply = client.sessions(None, limit).await?;
    while let Some(cursor) = reply.next_cursor.take_if(|_| reply.sessions.len() < limit) {
        let more = client.sessions(Some(&cursor), limit - reply.sessions.len()).await?;
        if more.sessions.is_empty() {
            break;
        }
        reply.sessions.extend(more.sessions);
        reply.next_cursor = more.next_cursor;
    }
    Ok(reply)
}
