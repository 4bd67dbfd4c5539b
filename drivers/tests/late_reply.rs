//! Invariant 1 of the drivers: no value is ever attributed to another register, unit or time.
//!
//! The wires here are in-memory pipes under paused time, and the far ends are scripted by hand, byte
//! by byte, so that nothing of the simulator's own code stands between the test and the claim. The
//! same late reply is shown to tokio-modbus 0.17 first: it takes it for the answer to the next
//! question, which is why the line is our own.

use blockgate_drivers::modbus::{Function, ReadRequest, read_registers};
use blockgate_drivers::transport::Connecting;
use blockgate_drivers::{Connect, Framing, Line, LineSettings, Parity, Stream, Target};
use blockgate_types::{FaultClass, ReadFault};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

/// Hands out one prepared pipe after the other.
struct Pipes(Mutex<Vec<DuplexStream>>);

impl Connect for Pipes {
    fn connect<'a>(&'a self, _target: &'a Target) -> Connecting<'a> {
        let pipe = self.0.lock().unwrap().pop();
        Box::pin(
            async move { pipe.map(Stream::boxed).ok_or(std::io::ErrorKind::NotConnected.into()) },
        )
    }
}

fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}

fn rtu(body: &[u8]) -> Vec<u8> {
    [body, &crc(body)].concat()
}

/// The right reply to a request for one register: the register's value is its own address.
fn honest(framing: Framing, request: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Rtu => rtu(&[request[0], request[1], 2, request[2], request[3]]),
        Framing::Tcp => {
            let head = [request[0], request[1], 0, 0, 0, 5];
            [&head[..], &[request[6], request[7], 2, request[8], request[9]]].concat()
        }
    }
}

/// A device that is alone on its wire, takes requests one after the other and answers the n-th of
/// them after the n-th delay, the later ones at once.
async fn slow_device(mut wire: DuplexStream, framing: Framing, delays: Vec<Duration>) {
    let mut delays = delays.into_iter();
    let mut request = vec![0; if framing == Framing::Rtu { 8 } else { 12 }];
    while wire.read_exact(&mut request).await.is_ok() {
        sleep(delays.next().unwrap_or(Duration::from_millis(10))).await;
        if wire.write_all(&honest(framing, &request)).await.is_err() {
            return;
        }
    }
}

fn settings(transport: &str) -> LineSettings {
    let mut settings = match transport {
        "serial" => {
            let path = "/dev/ttyS9".to_owned();
            let (baud, parity) = (9600, Parity::Even);
            let target = Target::Serial { path, baud, data_bits: 8, parity, stop_bits: 1 };
            LineSettings::new(target, Framing::Rtu)
        }
        "rtu over tcp" => LineSettings::tcp("server", 4001, Framing::Rtu),
        _ => LineSettings::tcp("gateway", 502, Framing::Tcp),
    };
    settings.reply_timeout = Duration::from_millis(200);
    settings.late_reply_max = Duration::from_millis(1000);
    settings.quarantine_at_open = false;
    settings
}

const TRANSPORTS: [&str; 3] = ["serial", "rtu over tcp", "modbus tcp"];

fn line_with(settings: LineSettings, pipes: Vec<DuplexStream>) -> Line {
    Line::new(settings, Arc::new(Pipes(Mutex::new(pipes))))
}

async fn read_one(line: &mut Line, unit: u8, address: u16) -> Result<u16, ReadFault> {
    let read = ReadRequest::new(Function::InputRegisters, address, 1).unwrap();
    let data = read_registers(line, unit, read).await?;
    Ok(u16::from_be_bytes([data[0], data[1]]))
}

#[tokio::test(start_paused = true)]
async fn tokio_modbus_takes_a_late_rtu_reply_for_the_answer_to_the_next_question() {
    use tokio_modbus::client::{Reader, rtu};
    use tokio_modbus::slave::Slave;
    let (near, far) = tokio::io::duplex(512);
    let delays = vec![Duration::from_millis(500)];
    let device = tokio::spawn(slow_device(far, Framing::Rtu, delays));
    let mut modbus = rtu::attach_slave(near, Slave(1));
    let limit = Duration::from_millis(200);
    assert!(timeout(limit, modbus.read_input_registers(100, 1)).await.is_err(), "timed out");
    // Even a pause before the next question does not help.
    sleep(Duration::from_millis(400)).await;
    let mut got = Vec::new();
    for address in [200, 300, 400] {
        got.push(
            timeout(limit, modbus.read_input_registers(address, 1))
                .await
                .unwrap()
                .unwrap()
                .unwrap(),
        );
    }
    // Every answer is that of the question before: without an error, and for ever.
    assert_eq!(got, [vec![100], vec![200], vec![300]]);
    device.abort();
}

// drivers: invariant 1 (lib.rs)
#[tokio::test(start_paused = true)]
async fn a_late_reply_is_never_the_answer_to_the_next_question() {
    for transport in TRANSPORTS {
        for late_ms in [201, 250, 500, 900] {
            let (near, far) = tokio::io::duplex(512);
            let settings = settings(transport);
            let delays = vec![Duration::from_millis(late_ms)];
            let device = tokio::spawn(slow_device(far, settings.framing, delays));
            // After three timeouts an MBAP connection is given up for a new one.
            let (near_2, far_2) = tokio::io::duplex(512);
            let second = tokio::spawn(slow_device(far_2, settings.framing, Vec::new()));
            let mut line = line_with(settings, vec![near_2, near]);
            // On a serial line the wire's own time is allowed for.
            if !(transport == "serial" && late_ms == 201) {
                let fault = read_one(&mut line, 1, 100).await.unwrap_err();
                assert_eq!(fault.what, "no answer within 200 ms", "{transport} {late_ms}");
            }
            for address in [200, 300, 400] {
                let got = read_one(&mut line, 1, address).await;
                // A slow device behind MBAP may cost a second timeout, never a wrong value.
                match got {
                    Ok(value) => assert_eq!(value, address, "{transport} {late_ms}"),
                    Err(fault) => {
                        assert_eq!(fault.class, FaultClass::Timeout);
                        assert_eq!(transport, "modbus tcp");
                    }
                }
            }
            assert_eq!(read_one(&mut line, 1, 500).await.unwrap(), 500, "{transport} {late_ms}");
            device.abort();
            second.abort();
        }
    }
}

// drivers: invariant 1 (lib.rs)
#[tokio::test(start_paused = true)]
async fn a_poll_that_was_dropped_leaves_no_reply_behind_for_the_next_one() {
    for transport in TRANSPORTS {
        for drop_after_ms in [0, 1, 6, 10, 50, 99] {
            let (near, far) = tokio::io::duplex(512);
            let (near_2, far_2) = tokio::io::duplex(512);
            let settings = settings(transport);
            let framing = settings.framing;
            let delays = vec![Duration::from_millis(100)];
            let first = tokio::spawn(slow_device(far, framing, delays.clone()));
            let second = tokio::spawn(slow_device(far_2, framing, delays));
            let mut line = line_with(settings, vec![near_2, near]);
            let limit = Duration::from_millis(drop_after_ms);
            let dropped = timeout(limit, read_one(&mut line, 1, 100)).await;
            assert!(dropped.is_err(), "{transport}: dropped after {drop_after_ms} ms");
            for address in [200, 300] {
                assert_eq!(read_one(&mut line, 1, address).await.unwrap(), address, "{transport}");
            }
            first.abort();
            second.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_lasts_until_the_line_was_silent_long_enough_and_no_longer() {
    let (near, mut far) = tokio::io::duplex(512);
    let mut line = line_with(settings("rtu over tcp"), vec![near]);
    let device = tokio::spawn(async move {
        let mut request = [0; 8];
        far.read_exact(&mut request).await.unwrap();
        let asked = Instant::now();
        // Half of a late reply after 700 ms, its rest after 1,600: the silence begins anew.
        let reply = honest(Framing::Rtu, &request);
        sleep(Duration::from_millis(700)).await;
        far.write_all(&reply[..3]).await.unwrap();
        sleep(Duration::from_millis(900)).await;
        far.write_all(&reply[3..]).await.unwrap();
        far.read_exact(&mut request).await.unwrap();
        far.write_all(&honest(Framing::Rtu, &request)).await.unwrap();
        asked.elapsed()
    });
    assert!(read_one(&mut line, 1, 100).await.is_err());
    assert!(line.is_unsettled());
    assert_eq!(read_one(&mut line, 1, 200).await.unwrap(), 200);
    assert!(!line.is_unsettled());
    // 1,600 ms and the silence of 1,000; a timer may be a millisecond late.
    let asked_again = device.await.unwrap().as_millis();
    assert!((2600..=2602).contains(&asked_again), "{asked_again} ms");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_falls_silent_is_given_up_in_bounded_time() {
    let (near, mut far) = tokio::io::duplex(512);
    let mut line = line_with(settings("rtu over tcp"), vec![near]);
    let babbler = tokio::spawn(async move {
        while far.write_all(&[0x55; 16]).await.is_ok() {
            sleep(Duration::from_millis(300)).await;
        }
    });
    sleep(Duration::from_millis(10)).await;
    let started = Instant::now();
    let mut faults = Vec::new();
    for _ in 0..2 {
        faults.push(read_one(&mut line, 1, 100).await.unwrap_err());
    }
    let expected =
        "the connection to server:4001 broke: it does not fall silent: two masters, or noise";
    assert!(faults.iter().any(|fault| fault.what == expected), "{faults:?}");
    assert!(started.elapsed() < Duration::from_secs(35), "{:?}", started.elapsed());
    babbler.abort();
}

/// One request answered by `reply`, made from the request; then honest answers.
async fn scripted(
    framing: Framing,
    reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (Result<u16, ReadFault>, Result<u16, ReadFault>) {
    let transport = if framing == Framing::Rtu { "rtu over tcp" } else { "modbus tcp" };
    let (near, mut far) = tokio::io::duplex(512);
    let (near_2, far_2) = tokio::io::duplex(512);
    let mut line = line_with(settings(transport), vec![near_2, near]);
    let first = tokio::spawn(async move {
        let mut request = vec![0; if framing == Framing::Rtu { 8 } else { 12 }];
        far.read_exact(&mut request).await.unwrap();
        for piece in reply(&request) {
            if far.write_all(&piece).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        slow_device(far, framing, Vec::new()).await;
    });
    let second = tokio::spawn(slow_device(far_2, framing, Vec::new()));
    let outcomes = (read_one(&mut line, 1, 0x0102).await, read_one(&mut line, 1, 0x0304).await);
    first.abort();
    second.abort();
    outcomes
}

// drivers: invariant 1 (lib.rs)
#[tokio::test(start_paused = true)]
async fn odd_rtu_replies_are_right_or_a_fault_and_never_another_value() {
    type Reply = fn(&[u8]) -> Vec<Vec<u8>>;
    let cases: &[(&str, Reply, Result<u16, FaultClass>)] = &[
        ("plain", |q| vec![honest(Framing::Rtu, q)], Ok(0x0102)),
        ("split", |q| honest(Framing::Rtu, q).chunks(1).map(<[u8]>::to_vec).collect(), Ok(0x0102)),
        ("echo glued", |q| vec![[q, &honest(Framing::Rtu, q)].concat()], Ok(0x0102)),
        (
            "echo apart",
            |q| vec![q[..3].to_vec(), q[3..].to_vec(), honest(Framing::Rtu, q)],
            Ok(0x0102),
        ),
        ("echo and silence", |q| vec![q.to_vec()], Err(FaultClass::Timeout)),
        (
            "noise before",
            |q| vec![[&[0x00, 0xFF], &honest(Framing::Rtu, q)[..]].concat()],
            Ok(0x0102),
        ),
        (
            "noise like the unit",
            |q| vec![[&[0x01], &honest(Framing::Rtu, q)[..]].concat()],
            Ok(0x0102),
        ),
        (
            "much noise before",
            |q| vec![[&[0x00; 9], &honest(Framing::Rtu, q)[..]].concat()],
            Err(FaultClass::Checksum),
        ),
        ("noise behind", |q| vec![[&honest(Framing::Rtu, q)[..], &[0x00]].concat()], Ok(0x0102)),
        ("twice", |q| vec![honest(Framing::Rtu, q).repeat(2)], Ok(0x0102)),
        (
            "two values",
            |q| vec![[rtu(&[1, 4, 2, 9, 9]), honest(Framing::Rtu, q)].concat()],
            Err(FaultClass::Protocol),
        ),
        ("one byte less", |_| vec![rtu(&[1, 4, 1, 9])], Err(FaultClass::Protocol)),
        ("one register more", |_| vec![rtu(&[1, 4, 4, 9, 9, 9, 9])], Err(FaultClass::Protocol)),
        ("count lies", |_| vec![rtu(&[1, 4, 3, 9, 9])], Err(FaultClass::Checksum)),
        ("other unit", |_| vec![rtu(&[2, 4, 2, 9, 9])], Err(FaultClass::WrongDevice)),
        ("other function", |_| vec![rtu(&[1, 3, 2, 9, 9])], Err(FaultClass::Protocol)),
        (
            "flipped bit",
            |q| {
                vec![{
                    let mut r = honest(Framing::Rtu, q);
                    r[3] ^= 1;
                    r
                }]
            },
            Err(FaultClass::Checksum),
        ),
        ("half", |q| vec![honest(Framing::Rtu, q)[..4].to_vec()], Err(FaultClass::Checksum)),
        ("exception", |_| vec![rtu(&[1, 0x84, 2])], Err(FaultClass::Protocol)),
        ("other unit's exception", |_| vec![rtu(&[2, 0x84, 2])], Err(FaultClass::WrongDevice)),
        ("nothing", |_| vec![], Err(FaultClass::Timeout)),
    ];
    for (name, reply, want) in cases {
        let (first, second) = scripted(Framing::Rtu, reply).await;
        assert_eq!(first.as_ref().copied().map_err(|f| f.class), *want, "{name}: {first:?}");
        assert_eq!(second.as_ref().ok(), Some(&0x0304), "after {name}: {second:?}");
    }
}

// drivers: invariant 1 (lib.rs)
#[tokio::test(start_paused = true)]
async fn odd_mbap_replies_are_right_or_a_fault_and_never_another_value() {
    type Reply = fn(&[u8]) -> Vec<Vec<u8>>;
    fn reply(q: &[u8], tail: &[u8]) -> Vec<u8> {
        [&[q[0], q[1], 0, 0, 0, tail.len() as u8], tail].concat()
    }
    let cases: &[(&str, Reply, Result<u16, FaultClass>)] = &[
        ("plain", |q| vec![honest(Framing::Tcp, q)], Ok(0x0102)),
        ("split", |q| honest(Framing::Tcp, q).chunks(2).map(<[u8]>::to_vec).collect(), Ok(0x0102)),
        (
            "stale first",
            |q| {
                vec![
                    [&[q[0], q[1] ^ 1, 0, 0, 0, 5, 1, 4, 2, 9, 9], &honest(Framing::Tcp, q)[..]]
                        .concat(),
                ]
            },
            Ok(0x0102),
        ),
        (
            "stale only",
            |q| vec![[q[0], q[1] ^ 1, 0, 0, 0, 5, 1, 4, 2, 9, 9].to_vec()],
            Err(FaultClass::Timeout),
        ),
        ("twice", |q| vec![honest(Framing::Tcp, q).repeat(2)], Ok(0x0102)),
        ("count lies", |q| vec![reply(q, &[1, 4, 4, 9, 9])], Err(FaultClass::Protocol)),
        (
            "one register more",
            |q| vec![reply(q, &[1, 4, 4, 9, 9, 9, 9])],
            Err(FaultClass::Protocol),
        ),
        ("empty", |q| vec![reply(q, &[1, 4, 0])], Err(FaultClass::Protocol)),
        ("header too short", |q| vec![reply(q, &[1, 4])], Err(FaultClass::Protocol)),
        ("other unit", |q| vec![reply(q, &[2, 4, 2, 9, 9])], Err(FaultClass::WrongDevice)),
        ("other function", |q| vec![reply(q, &[1, 3, 2, 9, 9])], Err(FaultClass::Protocol)),
        (
            "other protocol",
            |q| {
                vec![{
                    let mut r = honest(Framing::Tcp, q);
                    r[3] = 1;
                    r
                }]
            },
            Err(FaultClass::Protocol),
        ),
        ("exception", |q| vec![reply(q, &[1, 0x84, 0x0B])], Err(FaultClass::Protocol)),
        ("echo", |q| vec![q.to_vec()], Err(FaultClass::Protocol)),
        ("half", |q| vec![honest(Framing::Tcp, q)[..7].to_vec()], Err(FaultClass::Checksum)),
        ("nothing", |_| vec![], Err(FaultClass::Timeout)),
    ];
    for (name, reply, want) in cases {
        let (first, second) = scripted(Framing::Tcp, reply).await;
        assert_eq!(first.as_ref().copied().map_err(|f| f.class), *want, "{name}: {first:?}");
        assert_eq!(second.as_ref().ok(), Some(&0x0304), "after {name}: {second:?}");
    }
}
