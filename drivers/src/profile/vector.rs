//! A profile's own test vectors. `blockgate check` runs them for the files of `profiles.d` too.

use super::{Profile, Vector};
use crate::line::Verdict;
use crate::modbus::{Ask, ReadRequest, decode_frame, frame};
use std::collections::BTreeMap;

/// Runs one vector: the response must be the right reply to the request, and the registers inside it
/// must be exactly those that the vector expects, with exactly these values.
///
/// # Errors
/// A sentence that says what differs.
pub fn run_vector(profile: &Profile, vector: &Vector) -> Result<(), String> {
    let request = decode_frame(&vector.request, None);
    let Some(read) = request.request.filter(|_| request.valid) else {
        return Err(format!("the request is no valid read: {:?}", request.fields));
    };
    let pdu = match request.framing {
        "Modbus TCP" => mbap_pdu(vector, read)?,
        _ => rtu_pdu(vector, read)?,
    };
    let data =
        frame::reply_data(pdu).map_err(|code| format!("the response is exception {code}"))?;
    let expected: BTreeMap<&str, _> =
        vector.expect.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut got = BTreeMap::new();
    for (spec, value) in profile.values_in(read, data) {
        got.insert(spec.name.as_str(), value.map_err(|fault| fault.to_string())?);
    }
    if got == expected {
        return Ok(());
    }
    let differs = |name: &&&str| got.get(**name) != expected.get(**name);
    let names: Vec<&&str> = got.keys().chain(expected.keys()).filter(differs).collect();
    Err(format!("{names:?} differ: the response gives {got:?}, expected is {expected:?}"))
}

fn mbap_pdu(vector: &Vector, read: ReadRequest) -> Result<&[u8], String> {
    let Some([high, low, _, _, _, _, unit]) = vector.request.first_chunk::<7>() else {
        return Err("the request is too short".to_owned());
    };
    let ask = Ask { unit: *unit, read };
    let transaction = u16::from_be_bytes([*high, *low]);
    whole(frame::judge_mbap(ask, transaction, &vector.response), &vector.response)?;
    Ok(vector.response.get(7..).unwrap_or_default())
}

fn rtu_pdu(vector: &Vector, read: ReadRequest) -> Result<&[u8], String> {
    let ask = Ask { unit: vector.request.first().copied().unwrap_or(0), read };
    whole(frame::judge_rtu(ask, &vector.request, &vector.response), &vector.response)?;
    let end = vector.response.len().saturating_sub(2);
    Ok(vector.response.get(1..end).unwrap_or_default())
}

fn whole(verdict: Verdict, response: &[u8]) -> Result<(), String> {
    match verdict {
        Verdict::Reply { start: 0, len } if len == response.len() => Ok(()),
        Verdict::Wrong(_, what) => Err(what),
        Verdict::More => Err("the response is damaged or too short".to_owned()),
        Verdict::Skip(_) | Verdict::Reply { .. } => {
            Err("the response has bytes too many".to_owned())
        }
    }
}
