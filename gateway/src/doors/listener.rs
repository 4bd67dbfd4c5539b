//! Datagrams that UHPPOTE controllers push when something happens. Nobody acknowledges them, and anybody
//! can send them: they are a hint to ask the controller now, and never more. What is not from a
//! controller's own address with its own serial number is counted and hints at nothing.

use super::Doors;
use crate::config::doors::Reach;
use crate::limits;
use blockgate_drivers::door::uhppote::{LEN, SOM, SOM_662};
use blockgate_drivers::transport::Connect;
use blockgate_types::ControllerId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The code of a pushed event: that of an answer to a question about the state.
const EVENT: u8 = 0x20;

/// Listens until told to stop.
pub async fn run(doors: Arc<Doors>, connect: Arc<dyn Connect>, stop: CancellationToken) {
    let Some(at) = doors.config().listener else { return stop.cancelled().await };
    let mut pause = limits::CONTROLLER_AWAY_MIN;
    loop {
        let listening = async {
            let socket = connect.listen(SocketAddr::V4(at)).await?;
            let known = known(&doors, &*connect).await;
            pause = limits::CONTROLLER_AWAY_MIN;
            let mut buffer = [0; 128];
            loop {
                let (n, whose) = socket.recv_from(&mut buffer).await?;
                match serial(buffer.get(..n).unwrap_or_default())
                    .and_then(|serial| known.get(&serial))
                {
                    Some((address, id)) if *address == whose.ip() => doors.hint(id),
                    Some(_) | None => doors.stranger(),
                }
            }
        };
        let ended: std::io::Result<()> = tokio::select! { biased;
            () = stop.cancelled() => return,
            ended = listening => ended,
        };
        // Without it everything still comes in: at the next poll.
        if let Err(error) = ended {
            tracing::warn!(%at, %error, "the doors' events are not listened to; they are polled");
        }
        pause = (pause * 2).min(limits::LISTENER_AGAIN_MAX);
        tokio::select! { biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Controllers by serial number, with their addresses.
async fn known(doors: &Doors, connect: &dyn Connect) -> BTreeMap<u32, (IpAddr, ControllerId)> {
    let mut known = BTreeMap::new();
    for (id, config) in &doors.config().controllers {
        let Reach::Uhppote { serial, host, port } = &config.reach else { continue };
        // A name is looked up as for a question.
        let address = match host.parse() {
            Ok(address) => Some(address),
            Err(_) => connect.datagrams(host, *port).await.ok().map(|wire| wire.far().ip()),
        };
        if let Some(address) = address {
            known.insert(*serial, (address, id.clone()));
        }
    }
    known
}

fn serial(datagram: &[u8]) -> Option<u32> {
    let fine = datagram.len() == LEN
        && matches!(datagram.first(), Some(&(SOM | SOM_662)))
        && datagram.get(1) == Some(&EVENT);
    let bytes = datagram.get(4..8)?.try_into().ok()?;
    fine.then(|| u32::from_le_bytes(bytes))
}
