//! The master's side: a read over a line.

use super::frame;
use super::pdu::{Ask, ReadRequest};
use crate::line::{Framing, Line};
use blockgate_types::{FaultClass, ReadFault};

/// Reads registers or coils and lends their bytes as they came, two a register, high byte first.
///
/// # Errors
/// Timeout: no connection or no answer. Checksum: a damaged answer. Protocol: an exception or an
/// answer to another question.
pub async fn read_registers(
    line: &mut Line,
    unit: u8,
    read: ReadRequest,
) -> Result<&[u8], ReadFault> {
    let ask = Ask { unit, read };
    line.request.clear();
    match line.settings().framing {
        Framing::Rtu => {
            frame::put_rtu(&mut line.request, ask);
            line.send().await?;
            let (sent, used) = (RequestCopy::of(&line.request), frame::rtu_reply_len(ask));
            let reply = line.receive(used, |got| frame::judge_rtu(ask, sent.bytes(), got)).await?;
            let pdu = reply.get(1..reply.len().saturating_sub(2)).unwrap_or_default();
            data_or_exception(ask, pdu, reply)
        }
        Framing::Tcp => {
            let transaction = line.next_transaction();
            frame::put_mbap(&mut line.request, transaction, ask);
            line.send().await?;
            receive_mbap(line, ask, transaction).await
        }
    }
}

/// Reads several blocks of one unit with all requests in one write (MBAP only). `each` gets the data
/// of every block in turn.
///
/// # Errors
/// As [`read_registers`], for the first block that fails; the others are lost with it. What `each`
/// returns ends the reading.
pub async fn read_pipelined(
    line: &mut Line,
    unit: u8,
    reads: impl Iterator<Item = ReadRequest> + Clone,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), ReadFault>,
) -> Result<(), ReadFault> {
    line.request.clear();
    let mut first = None;
    for read in reads.clone() {
        let transaction = line.next_transaction();
        first.get_or_insert(transaction);
        frame::put_mbap(&mut line.request, transaction, Ask { unit, read });
    }
    let Some(mut transaction) = first else { return Ok(()) };
    line.send().await?;
    let mut outcome = Ok(());
    for (i, read) in reads.enumerate() {
        let result = match receive_mbap(line, Ask { unit, read }, transaction).await {
            Ok(data) if outcome.is_ok() => each(i, data).map_err(|fault| {
                let raw = line.last_exchange().reply.to_vec();
                ReadFault { raw, ..fault }
            }),
            Ok(_) => Ok(()),
            Err(fault) => Err(fault),
        };
        transaction = transaction.wrapping_add(1);
        // An exception is a whole reply: those behind it still come and are taken, so that the line
        // is in step afterwards. After a timeout they are stale, and skipped by their ids.
        let lost = line.is_unsettled();
        outcome = outcome.and(result);
        if lost {
            break;
        }
    }
    outcome
}

async fn receive_mbap(line: &mut Line, ask: Ask, transaction: u16) -> Result<&[u8], ReadFault> {
    let used = frame::rtu_reply_len(ask) + 4;
    let reply = line.receive(used, |got| frame::judge_mbap(ask, transaction, got)).await?;
    data_or_exception(ask, reply.get(7..).unwrap_or_default(), reply)
}

fn data_or_exception<'a>(ask: Ask, pdu: &'a [u8], reply: &[u8]) -> Result<&'a [u8], ReadFault> {
    frame::reply_data(pdu).map_err(|code| ReadFault {
        class: FaultClass::Protocol,
        what: frame::exception_sentence(ask.read.function, code),
        raw: reply.to_vec(),
    })
}

/// The eight bytes of an RTU request, kept beside the line while the line is borrowed.
struct RequestCopy([u8; 8]);

impl RequestCopy {
    fn of(request: &[u8]) -> Self {
        Self(request.first_chunk::<8>().copied().unwrap_or_default())
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}
