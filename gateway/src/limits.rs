//! Every bound of the gateway (invariant 10). A queue, cache or retry that is not bounded here is a
//! bug. Each says what happens when it is reached.

use blockgate_types::Span;
use std::time::Duration;

/// Inputs that wait for the engine; a full inbox holds the lines back (they poll later).
pub const INBOX_MAX: usize = 4096;
/// Inputs that one engine step takes.
pub const ENGINE_BATCH_MAX: usize = 512;
/// From so many bills in one decision on, their envelopes are written by a thread of their own.
pub const BILLS_AHEAD_MIN: usize = 256;
/// Durable batches that wait for trees and outbox; when there are more the next commit waits.
pub const FOLLOWING_BATCHES_MAX: usize = 64;
/// Records of a close that wait for trees and outbox until the close is durable.
pub const FOLLOWING_HELD_MAX: usize = 20_000;
/// Bytes of records that are made durable at once, whatever the commit interval says.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;
/// One journal segment; a full one is followed by a new file.
pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Longest journal record; a longer event is refused before it is decided on.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Longest number of a parking ticket in a question, in bytes.
pub const TICKET_BYTES_MAX: usize = 64;
/// Records between two checkpoints; more would slow the start.
pub const CHECKPOINT_EVERY_RECORDS: u64 = 20_000;
/// Messages sent and not yet acknowledged by the broker.
pub const MQTT_INFLIGHT_MAX: u16 = 64;
/// Longest wait between two attempts to connect.
pub const MQTT_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Largest message; a larger event goes to the dead letters and raises an alarm.
pub const MQTT_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Commands on their way through the door at once; more are answered `refused` with `command-busy`. Also the
/// Receive Maximum that we tell the broker.
pub const MQTT_INCOMING_MAX: usize = 256;
/// Commands that are looked at in a minute; more are answered `refused` with `command-busy` and leave no
/// record.
pub const MQTT_COMMANDS_PER_MINUTE: u32 = 3000;
/// Outcomes of commands from before this start that are told again on `rsp/`; the rest stand in `evt/audit`.
pub const MQTT_UNKNOWN_MAX: usize = 256;
/// Bytes of a command; a larger one is refused.
pub const MQTT_COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Ids and refusals in one receipt; a larger receipt is not taken, and its events are sent again.
pub const MQTT_RECEIPT_IDS_MAX: usize = 10_000;
/// Meters in one message of live values; the rest go in the next.
pub const MQTT_LIVE_METERS_MAX: usize = 100;
/// Bytes of correlation data that are echoed; longer ones are left out.
pub const MQTT_CORRELATION_MAX: usize = 1024;
/// Live rows kept in the telemetry ring per meter; the oldest go first.
pub const TELEMETRY_ROWS_PER_METER_MAX: usize = 2 * 24 * 60;
/// Connections to the page and the API at once; more are closed at once.
pub const HTTP_CONNECTIONS_MAX: usize = 128;
/// Bytes of a request body.
pub const HTTP_BODY_MAX: u64 = 64 * 1024;
/// Time for a request's header.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Event streams open at once.
pub const HTTP_STREAMS_MAX: usize = 16;
/// Rows of a query's answer; the rest by `after=`.
pub const HTTP_ROWS_MAX: usize = 500;
/// Sessions of people at once; the oldest ends.
pub const SESSIONS_MAX: usize = 64;
/// People who may come in.
pub const USERS_MAX: usize = 32;
/// Sources of wrong passwords that are remembered; the one that may try soonest is forgotten.
pub const GUESS_SOURCES_MAX: usize = 256;
/// Secrets of the config that are known by their value, to be taken out of texts; more are known by name and shape.
pub const SECRETS_KNOWN_MAX: usize = 4096;
/// Browsers of one user in which they have logged in before; the oldest is a stranger again.
pub const BROWSERS_PER_USER_MAX: usize = 16;
/// Passwords hashed at once (19 MiB each); more wait.
pub const HASHES_AT_ONCE: usize = 2;
/// Connections of one address at once; more are closed at once.
pub const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 48;
/// Time for a TLS handshake.
pub const HTTP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a request's body.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a command's answer over HTTP; after it the sender asks again with the same key.
pub const HTTP_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for an order that moves something: a valve shows after half a minute where it stands.
pub const HTTP_ACT_TIMEOUT: Duration = Duration::from_secs(75);
/// Open connections are closed this long after the stop, answered or not.
pub const HTTP_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Durable events kept for `Last-Event-ID`; a consumer that missed more is told so.
pub const HTTP_EVENTS_MAX: usize = 512;
/// Bytes of these events together; the oldest go first.
pub const HTTP_EVENTS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Messages that wait for one slow reader of the event stream; a slower one is disconnected.
pub const HTTP_STREAM_QUEUE_MAX: usize = 64;
/// Idempotency keys remembered; the oldest go first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1024;
/// How long an Idempotency-Key's answer is remembered.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Log records that wait for journald; more are dropped and counted.
pub const LOG_QUEUE_MAX: usize = 8192;
/// Lines of the log that the page can show.
pub const LOG_RECENT_MAX: usize = 1000;
/// Longest line of these, in bytes.
pub const LOG_RECENT_BYTES_MAX: usize = 1024;
/// Bytes of one log field; the rest is cut, and the line says how much.
pub const LOG_FIELD_BYTES_MAX: usize = 8 * 1024;
/// Time that the end of the process waits for the last log lines.
pub const LOG_FLUSH_MAX: Duration = Duration::from_secs(1);
/// Time that MQTT and HTTP get to end their requests; with the three below it stays under the
/// unit's `TimeoutStopSec`. Who needs longer is left behind.
pub const DOORS_STOP_MAX: Duration = Duration::from_secs(5);
/// Time that each line gets to end the exchange on its wire.
pub const LINES_STOP_MAX: Duration = Duration::from_secs(8);
/// Time that the engine gets to make durable what it holds.
pub const ENGINE_STOP_MAX: Duration = Duration::from_secs(8);
/// Time that the outbox gets to tell the cloud and to keep its cursor.
pub const OUTBOX_STOP_MAX: Duration = Duration::from_secs(3);
/// Bytes that sled may keep of its trees.
pub const TREES_CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// Bytes of one value in the trees; a longer telemetry row is refused.
pub const TREES_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Readings of the history that are held in memory before they are written to the trees.
pub const HISTORY_STAGED_MAX: usize = 64 * 1024;
/// Days that the quarter-hour history reaches back; older rows go, a few at a time.
pub const HISTORY_DAYS_MAX: u32 = 400;
/// Changes of alarms that can be queried; the oldest go first (the journal keeps them).
pub const ALARM_ROWS_MAX: u64 = 10_000;
/// Waiting entries that the outbox keeps in memory only; more are written to sled.
pub const OUTBOX_WINDOW: usize = 4096;
/// Messages of one class sent and without a receipt; then the class waits for one.
pub const OUTBOX_UNRECEIPTED_MAX: usize = 4096;
/// A backlog of readings that is no longer than this is sent to its end before live readings are: each meter's then
/// arrive in their order. At the usual pace that is two seconds.
pub const OUTBOX_IN_ORDER_MAX: u64 = 1000;
/// Live messages of one class that may be on their way beyond that bound: a backlog without receipts does
/// not hold them back.
pub const OUTBOX_LIVE_ROOM: usize = 512;
/// Ranges of single receipts above the cursor; more are forgotten, highest first, and sent again.
pub const OUTBOX_RANGES_MAX: usize = 4096;
/// Ranges that wait to be sent again by command; more are refused.
pub const OUTBOX_RESENDS_MAX: usize = 16;
/// Dead letters; when so many lie there, a further message is tried again later instead.
pub const DEAD_LETTERS_MAX: usize = 4096;
/// Wait for a receipt before a message is sent again, the first time; doubled each time.
pub const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a receipt.
pub const RECEIPT_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Durable events that an open event stream may lag behind; one that lags further begins anew.
pub const DURABLE_RING: usize = 256;
/// Reads of single meters that wait for their line.
pub const ERRANDS_MAX: usize = 16;
/// How often the gateway looks at itself.
pub const CONDITIONS_EVERY: Duration = Duration::from_secs(2);
/// How often the connection to the broker looks at itself.
pub const MQTT_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often overdue messages are looked for and receipts are saved.
pub const OUTBOX_TEND_EVERY: Duration = Duration::from_secs(1);
/// How often the files of the page's certificate are looked at.
pub const CERTIFICATE_LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often the files of the broker's certificates are looked at.
pub const MQTT_CERTIFICATE_LOOK_EVERY: Duration = Duration::from_secs(10);
/// Pause after an accept that failed.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest that a question on the control socket takes.
pub const CONTROL_MAX: Duration = Duration::from_secs(90);
/// Callers of the control socket at once; more wait.
pub const CONTROL_CALLERS_MAX: usize = 8;
/// Bills that one correction looks through.
pub const CORRECTION_BILLS_MAX: usize = 200_000;
/// Bills and movements of one household that its trail is made from; the rest is not shown.
pub const TRAIL_MAX: usize = 20_000;
/// Readings that one question about consumption looks at, for each meter.
pub const CONSUMPTION_READINGS_MAX: usize = 100_000;
/// Rows of an exported table; what comes later is not in it.
pub const EXPORT_ROWS_MAX: usize = 200_000;
/// How often the journal's head is signed at least; also with every bill run, at the start and the stop.
pub const HEAD_EVERY: Duration = Duration::from_secs(3600);
/// Most settings of a clock that nobody vouches for, of one start, whose readings get their true times.
pub const CLOCK_STRETCHES_MAX: usize = 16;
/// How often the engine looks whether the trees have what a command waits for.
pub const TREES_LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bills that a preview rates again; more are refused: preview another month.
pub const PREVIEW_BILLS_MAX: usize = 200_000;
/// Changed bills that the answer of a command names; their number is told whole.
pub const PREVIEW_ROWS_MAX: usize = 100;
/// Bytes of a camera's push, pictures included; a longer one is refused.
pub const CAMERA_BODY_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a barrier's question.
pub const QUESTION_BODY_MAX: u64 = 4 * 1024;
/// Requests a second that a device's token may make where `tokens.toml` says nothing; more are
/// answered 429.
pub const DEVICE_RATE: u32 = 300;
/// How far a signed request's time may be from ours.
pub const SIGNED_WINDOW: Span = Span::from_secs(60);
/// Nonces of signed requests that are remembered; beyond, signed requests are answered 429.
pub const NONCES_MAX: usize = 65_536;
/// How long a replayed request stays an alarm.
pub const REPLAY_ALARM: Span = Span::from_hours(1);
/// Cars at barriers that wait for the engine; more are answered by the lane's fail-safe policy.
pub const CROSSINGS_MAX: usize = 256;
/// Openings that wait for one barrier; more fail.
pub const ACTS_MAX: usize = 8;
/// Rows of questions that wait for the journal; a barrier that asks more is answered 429.
pub const ASKS_MAX: usize = 8192;
/// How often the questions of barriers go to the journal.
pub const ASKS_EVERY: Duration = Duration::from_millis(200);
/// A batch that the disk has not taken for so long is trouble: lanes work by their fail-safe policy.
pub const DISK_TROUBLE_AFTER: Duration = Duration::from_secs(2);
/// How long a camera's answer waits for the disk; its own timeout is 5 s.
pub const CROSSING_MAX: Duration = Duration::from_secs(3);
/// A camera that sends the same record again within this is answered as the first time.
pub const REPEAT_WITHIN: Duration = Duration::from_secs(30);
/// Records of one camera that are remembered for that.
pub const REPEATS_MAX: usize = 64;
/// How long one request to a camera or barrier may take.
pub const DEVICE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a device's answer.
pub const DEVICE_ANSWER_MAX: usize = 64 * 1024;
/// How often an arm's position is asked for after an opening.
pub const ARM_EVERY: Duration = Duration::from_millis(500);
/// How often a device is asked whether an arm that it showed as open is down again.
pub const ARM_LOOK_EVERY: Duration = Duration::from_secs(30);
/// A camera's clock may be off by so much and is still believed.
pub const CAMERA_CLOCK_OFF: Span = Span::from_secs(60);
/// Bytes of a question on the control socket: a rule file fits in.
pub const CONTROL_BYTES_MAX: u64 = 256 * 1024;
/// Scans that are remembered; the oldest is forgotten.
pub const SCANS_KEPT_MAX: usize = 8;
/// Meters of one scan; more are not listed.
pub const SCAN_FOUND_MAX: usize = 1024;
/// Notes of one scan; more are not listed.
pub const SCAN_NOTES_MAX: usize = 256;
/// Baud rates that a scan may name.
pub const SCAN_BAUDS_MAX: usize = 16;
/// How often the command line looks at a scan.
pub const SCAN_LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a meter is asked how it stands after an act of unknown outcome, and how long in between; then
/// again at the next start.
pub const LOOKS_MAX: u32 = 30;
/// See [`LOOKS_MAX`].
pub const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Orders that wait for one door controller; more fail.
pub const DOOR_ACTS_MAX: usize = 64;
/// How soon a controller's task looks again when rights or doors changed.
pub const DOORS_LOOK_AFTER: Duration = Duration::from_millis(50);
/// So long somebody at a reader waits until what was decided is durable; residents get in then all the same.
pub const READER_WAITS_FOR_DISK: Duration = Duration::from_millis(500);
/// So long a terminal's password that was refused is not tried again: it would lock its user.
pub const TERMINAL_LOCKED_OUT: Duration = Duration::from_secs(15 * 60);
/// The longest pause before the doors' listener is opened again.
pub const LISTENER_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Entries of controllers' memories that the page can show; older ones are in the journal.
pub const DOOR_ENTRIES_SHOWN: usize = 2_000;
/// Records of the journal that are looked through for them at a start.
pub const DOOR_RECORDS_AT_START: usize = 2_000;
/// How often it is looked who is in arrears, where that closes doors.
pub const ARREARS_LOOK_EVERY: Span = Span::from_mins(1);
/// Pause after a question that a door controller did not answer, the first time; doubled each time.
pub const CONTROLLER_AWAY_MIN: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const CONTROLLER_AWAY_MAX: Duration = Duration::from_secs(15);
/// The largest backup that the page tries, in memory; larger ones are tried on the console.
pub const BACKUP_BODY_MAX: u64 = 32 * 1024 * 1024;
/// How long its upload may take.
pub const BACKUP_BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// What must stay free on the disk beside a backup while the page sends it.
pub const BACKUP_SPARE: u64 = 64 * 1024 * 1024;
/// How long after a page's answer the reload that it ordered begins: the answer must be out.
pub const RELOAD_AFTER: Duration = Duration::from_millis(300);
