//! A controller over real and simulated datagrams: what counts as an answer, and what does not.

use blockgate_drivers::door::uhppote::{Card, Client, NoAnswer, Reply, Request};
use blockgate_drivers::door::{Civil, CivilDate};
use blockgate_drivers::sim::door::SimController;
use blockgate_drivers::sim::{SimConnect, serve_udp};
use blockgate_drivers::{Connect, SystemConnect};
use std::time::Duration;
use tokio::net::UdpSocket;

const SERIAL: u32 = 405_419_896;

fn clock() -> Civil {
    Civil { year: 2026, month: 3, day: 2, hour: 8, minute: 0, second: 0 }
}

fn card(number: u32) -> Card {
    let from = CivilDate { year: 2026, month: 1, day: 1 };
    let to = CivilDate { year: 2027, month: 12, day: 31 };
    Card { number, from, to, doors: [1, 0, 0, 0], pin: 0 }
}

#[tokio::test]
async fn a_controller_is_asked_over_udp_and_strangers_are_refused_and_counted() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let sim = SimController::new(SERIAL, clock());
    let served = tokio::spawn(serve_udp(socket, sim.clone()));
    let wire = SystemConnect.datagrams("127.0.0.1", port).await.unwrap();
    let blockgate_drivers::transport::Datagrams::Udp { socket: ours, .. } = &wire else { panic!() };
    let here = ("127.0.0.1", ours.local_addr().unwrap().port());
    let mut client = Client::new(SERIAL, wire, Duration::from_secs(5));
    let put = client.ask(&Request::PutCard(card(10_058_400))).await.unwrap();
    assert_eq!(put, Reply::Done(true));
    assert!(sim.swipe(1, 10_058_400, true) && !sim.swipe(2, 10_058_400, true));
    let Reply::Event(event) = client.ask(&Request::GetEvent(1)).await.unwrap() else { panic!() };
    assert_eq!((event.index, event.card), (1, Some(10_058_400)));

    // A stranger on the same host answers first, from another port.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut forged = sim.answer(&Request::GetEvent(2).encode(SERIAL)).unwrap();
    forged[13] = 1;
    stranger.send_to(&forged, here).await.unwrap();
    ours_has(&mut client).await;
    let Reply::Event(event) = client.ask(&Request::GetEvent(2)).await.unwrap() else { panic!() };
    assert_eq!(event.index, 2);
    assert_ne!(event.what, blockgate_drivers::door::Happened::Granted);
    assert_eq!(client.refused.strangers, 1, "{:?}", client.refused);
    served.abort();
}

/// The stranger's datagram is in our socket: loopback delivers before the sender goes on.
async fn ours_has(client: &mut Client) {
    let _ = client.ask(&Request::GetStatus).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn replayed_and_damaged_datagrams_are_no_answers_and_an_opening_is_not_repeated() {
    let sim = SimController::new(SERIAL, clock());
    let field = SimConnect::new().with_controller("10.0.0.9:60000", sim.clone());
    let wire = field.datagrams("10.0.0.9", 60_000).await.unwrap();
    let far = wire.far();
    let mut client = Client::new(SERIAL, wire, Duration::from_millis(500));
    sim.swipe(1, 1, true);
    sim.swipe(1, 2, true);
    let recorded = sim.answer(&Request::GetEvent(1).encode(SERIAL)).unwrap();

    // Recorded answers before the question are thrown away.
    sim.inject(far, &recorded);
    let Reply::Event(event) = client.ask(&Request::GetEvent(2)).await.unwrap() else { panic!() };
    assert_eq!((event.index, client.refused.replayed), (2, 1));

    // Nobody answers: only forged ones come, and none of them counts.
    sim.plug(false);
    let asked = tokio::spawn(async move {
        let answered = client.ask(&Request::GetEvent(2)).await;
        (client, answered)
    });
    tokio::task::yield_now().await;
    sim.inject(far, &recorded);
    sim.inject(far, &recorded[..40]);
    sim.inject("10.0.0.66:60000".parse().unwrap(), &recorded);
    let (mut client, answered) = asked.await.unwrap();
    assert!(matches!(answered, Err(NoAnswer::Timeout)), "{answered:?}");
    assert_eq!(
        (client.refused.replayed, client.refused.forged, client.refused.strangers),
        (2, 1, 1)
    );
    let sent = client.sent;
    assert!(client.ask(&Request::Open(1)).await.is_err());
    assert_eq!(client.sent, sent + 1, "an opening is sent once");
    sim.plug(true);
    assert_eq!(sim.opened(1), 0, "nothing opened");
    assert_eq!(client.ask(&Request::Open(1)).await.unwrap(), Reply::Done(true));
    assert_eq!(sim.opened(1), 1);
}
