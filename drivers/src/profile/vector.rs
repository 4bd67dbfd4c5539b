//! A profile's own test vectors. `blockgate check` runs them for the files of `profiles.d` too.

use super::{Cjt188Map, Dlt645Map, Map, MbusMap, Profile, Vector, plan};
use crate::line::Verdict;
use crate::modbus::{Ask, ReadRequest, decode_frame, frame};
use blockgate_types::{Decimal, ReadFault, Values};
use std::collections::{BTreeMap, BTreeSet};

/// Runs one vector: the response must be the right reply to the request, and the registers inside it
/// must be exactly those that the vector expects, with exactly these values.
///
/// # Errors
/// A sentence that says what differs.
pub fn run_vector(profile: &Profile, vector: &Vector) -> Result<(), String> {
    let got = match profile.map() {
        Map::Modbus { .. } => modbus_values(profile, vector)?,
        Map::Dlt645(map) => dlt645_values(profile, map, vector)?,
        Map::Cjt188(map) => cjt188_values(profile, map, vector)?,
        Map::Mbus(map) => mbus_values(profile, map, vector)?,
    };
    let expected: Got<'_> =
        vector.expect.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    if got == expected {
        return Ok(());
    }
    let differs = |name: &&&str| got.get(**name) != expected.get(**name);
    let names: BTreeSet<&&str> = got.keys().chain(expected.keys()).filter(differs).collect();
    Err(format!("{names:?} differ: the response gives {got:?}, expected is {expected:?}"))
}

/// Register names and values of a response.
type Got<'p> = BTreeMap<&'p str, Option<Decimal>>;

/// What a map's `take` gives, of the registers that this response holds.
fn taken<'p>(
    profile: &'p Profile,
    members: impl Iterator<Item = usize>,
    take: impl FnOnce(&mut Values) -> Result<(), ReadFault>,
) -> Result<Got<'p>, String> {
    let specs = profile.specs();
    let mut values = Values { specs: specs.clone(), values: vec![None; specs.len()] };
    take(&mut values).map_err(|fault| fault.to_string())?;
    let of = |index: usize| {
        let value = values.values.get(index).copied().flatten();
        specs.get(index).map(|spec| (spec.name.as_str(), value))
    };
    Ok(members.filter_map(of).collect())
}

fn dlt645_values<'p>(
    profile: &'p Profile,
    map: &'p Dlt645Map,
    vector: &Vector,
) -> Result<Got<'p>, String> {
    use crate::dlt645::frame::{Ask, Frame, judge};
    let request = Frame::parse(&vector.request).map_err(|d| format!("the request: {d}"))?;
    let wire = request.data.get(..map.edition.di_bytes());
    let Some(wire) = wire.filter(|_| request.control == map.edition.read_code()) else {
        return Err("the request is no read".to_owned());
    };
    let di = wire.iter().rev().fold(0, |di, byte| (di << 8) | u32::from(*byte));
    let (address, control) = (request.address, request.control);
    let ask = Ask { address, control, echo: wire.to_vec() };
    whole_behind_preamble(judge(&ask, &vector.request, &vector.response), &vector.response)?;
    let reply = Frame::parse(&vector.response).map_err(|d| format!("the response: {d}"))?;
    if reply.control != control | 0x80 {
        return Err(format!("the response has control code {:02X}", reply.control));
    }
    let data = reply.data.get(wire.len()..).unwrap_or_default();
    taken(profile, map.members(di), |values| map.take(di, data, values))
}

fn cjt188_values<'p>(
    profile: &'p Profile,
    map: &'p Cjt188Map,
    vector: &Vector,
) -> Result<Got<'p>, String> {
    use crate::cjt188::frame::{Ask, Frame, di, judge};
    let request = Frame::parse(&vector.request).map_err(|d| format!("the request: {d}"))?;
    let dialect = map.dialect;
    let head = dialect.di_order.wire(di::CURRENT);
    let sequence = request.data.get(2).copied();
    if request.meter_type != dialect.meter_type || !request.data.starts_with(&head) {
        return Err("the request is not the read of this profile: type or identifier".to_owned());
    }
    let sequence = sequence.filter(|_| dialect.check_sequence);
    let (address, control) = (request.address, request.control);
    let ask = Ask { address, control, di: di::CURRENT, sequence };
    whole_behind_preamble(judge(ask, &vector.request, &vector.response), &vector.response)?;
    let reply = Frame::parse(&vector.response).map_err(|d| format!("the response: {d}"))?;
    if reply.control != control | 0x80 {
        return Err(format!("the response has control code {:02X}", reply.control));
    }
    let content = reply.data.get(3..).unwrap_or_default();
    taken(profile, map.members(content), |values| map.take(content, values))
}

fn mbus_values<'p>(
    profile: &'p Profile,
    map: &'p MbusMap,
    vector: &Vector,
) -> Result<Got<'p>, String> {
    use crate::mbus::{Address, Frame, frame, parse};
    let request = Frame::parse(&vector.request).map_err(|d| format!("the request: {d}"))?;
    let Frame::Short { control: 0x5B | 0x7B, address } = request else {
        return Err("the request is no REQ_UD2".to_owned());
    };
    let address = match address {
        frame::SELECTED => frame::TEST,
        address => address,
    };
    let verdict = frame::judge(Address::Primary(address), &vector.request, &vector.response);
    whole(verdict, &vector.response)?;
    let reply = Frame::parse(&vector.response).map_err(|d| format!("the response: {d}"))?;
    let Frame::Long { ci, data, .. } = reply else {
        return Err("the response has no data".to_owned());
    };
    let telegrams = [parse(ci, &data)?];
    if let Some(what) = &telegrams[0].broken {
        return Err(what.clone());
    }
    taken(profile, map.members(&telegrams), |values| map.take(&telegrams, values))
}

/// As [`whole`]; FE bytes may stand in front.
fn whole_behind_preamble(verdict: Verdict, response: &[u8]) -> Result<(), String> {
    let preamble = response.iter().take_while(|byte| **byte == 0xFE).count();
    if let Verdict::Reply { start, len } = verdict
        && start == preamble
        && start + len == response.len()
    {
        return Ok(());
    }
    whole(verdict, response)
}

fn modbus_values<'p>(profile: &'p Profile, vector: &Vector) -> Result<Got<'p>, String> {
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
    let mut got = BTreeMap::new();
    for point in plan::points_of(profile.registers(), read) {
        let Some(spec) = profile.specs().get(point.index) else { continue };
        got.insert(spec.name.as_str(), point.value(spec, data).map_err(|fault| fault.to_string())?);
    }
    Ok(got)
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
