use super::*;
use crate::modbus::{Function, ReadRequest, read_registers};
use crate::transport::{Connecting, Stream, Target};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

struct Once(Mutex<Option<DuplexStream>>);

impl Connect for Once {
    fn connect<'a>(&'a self, _target: &'a Target) -> Connecting<'a> {
        let stream = self.0.lock().unwrap().take();
        Box::pin(
            async move { stream.map(Stream::boxed).ok_or(std::io::ErrorKind::NotFound.into()) },
        )
    }
}

struct Never;

impl Connect for Never {
    fn connect<'a>(&'a self, _target: &'a Target) -> Connecting<'a> {
        Box::pin(std::future::pending())
    }
}

fn read(address: u16) -> ReadRequest {
    ReadRequest::new(Function::HoldingRegisters, address, 1).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_silence_before_a_request_is_kept_and_the_last_exchange_is_shown() {
    let (near, mut far) = tokio::io::duplex(256);
    let mut settings = LineSettings::tcp("server", 4001, Framing::Rtu);
    settings.gap = Duration::from_millis(40);
    settings.quarantine_at_open = false;
    let mut line = Line::new(settings, Arc::new(Once(Mutex::new(Some(near)))));
    let device = tokio::spawn(async move {
        let mut arrivals = Vec::new();
        let mut request = [0; 8];
        for _ in 0..2 {
            far.read_exact(&mut request).await.unwrap();
            arrivals.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(15)).await;
            // Register 0 of unit 1 reads 10.
            far.write_all(&[1, 3, 2, 0, 10, 0x38, 0x43]).await.unwrap();
        }
        arrivals
    });
    for _ in 0..2 {
        assert_eq!(read_registers(&mut line, 1, read(0)).await.unwrap(), [0, 10]);
    }
    let last = line.last_exchange();
    assert_eq!(last.request, [1, 3, 0, 0, 0, 1, 0x84, 0x0A]);
    assert_eq!(last.reply, [1, 3, 2, 0, 10, 0x38, 0x43]);
    assert!((15..=16).contains(&last.round_trip.as_millis()), "{:?}", last.round_trip);
    let arrivals = device.await.unwrap();
    let between = (arrivals[1] - arrivals[0]).as_millis();
    assert!((55..=57).contains(&between), "15 ms of thinking and 40 of silence, not {between}");
}

#[tokio::test(start_paused = true)]
async fn connecting_is_bounded_and_the_pauses_between_attempts_grow_to_a_limit() {
    let mut line = Line::new(LineSettings::tcp("h", 502, Framing::Tcp), Arc::new(Never));
    let mut waits = Vec::new();
    for _ in 0..9 {
        let fault = read_registers(&mut line, 1, read(0)).await.unwrap_err();
        assert_eq!(fault.what, "cannot connect to h:502: no connection within 5000 ms");
        let retry_at = line.retry_at.unwrap();
        waits.push(line.backoff.as_secs());
        sleep_until(retry_at).await;
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60, 60]);
}

#[tokio::test(start_paused = true)]
async fn every_new_rtu_line_begins_with_a_quarantine_unless_it_is_told_not_to() {
    for (framing, wait_ms) in [(Framing::Rtu, 3000), (Framing::Tcp, 0)] {
        let (near, _far) = tokio::io::duplex(256);
        let settings = LineSettings::tcp("h", 502, framing);
        let mut line = Line::new(settings, Arc::new(Once(Mutex::new(Some(near)))));
        let started = Instant::now();
        line.settle().await.unwrap();
        let waited = started.elapsed().as_millis();
        assert!((wait_ms..=wait_ms + 1).contains(&waited), "{framing:?}: {waited} ms");
    }
}
