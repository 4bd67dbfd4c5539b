-- What the consumer keeps. Run by consumer.py at its start; every statement may be run again.

-- One row for each event of each gateway; the bytes as they came. (gateway, seq) is unique because
-- sequence numbers are never used twice in one history, id because an id is never used for other content in it.
CREATE TABLE IF NOT EXISTS event (
    gateway   text        NOT NULL,           -- tenant/gateway; tenant/gateway#epoch since a backup was restored
    seq       bigint      NOT NULL,
    id        text        NOT NULL,
    kind      text        NOT NULL,
    time      timestamptz NOT NULL,
    hash      bytea       NOT NULL,           -- SHA-256 of the bytes
    body      jsonb       NOT NULL,
    came_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (gateway, seq),
    UNIQUE (gateway, id)
);

-- Where each gateway stands: everything up to `through` is here without a gap, from 1 or from where its epoch begins.
CREATE TABLE IF NOT EXISTS gateway (
    gateway   text   PRIMARY KEY,
    through   bigint DEFAULT 0,               -- null until it is known where the epoch begins
    highest   bigint NOT NULL DEFAULT 0,
    asked_at  timestamptz,                    -- when missing events were last asked for
    state     jsonb                           -- its last retained state
);

-- What should never be: the same id or seq with other bytes. Somebody must look.
CREATE TABLE IF NOT EXISTS altered (
    gateway   text NOT NULL,
    seq       bigint NOT NULL,
    id        text NOT NULL,
    hash      bytea NOT NULL,
    came_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (gateway, seq, hash)
);

-- What a gateway wrote after the backup that it was restored from: nobody else has it any more. Somebody must look, and
-- enter again what still holds. A bill that stands in both histories was made twice.
CREATE OR REPLACE VIEW lost AS
SELECT e.* FROM event e JOIN event r ON r.body #>> '{data,what}' = 'restored'
 AND split_part(r.gateway, '#', 1) = split_part(e.gateway, '#', 1) AND r.gateway <> e.gateway
WHERE e.seq > (r.body #>> '{data,after}')::bigint AND e.came_at < r.came_at;

-- Bills as an accountant reads them; a view, because the events are the truth.
CREATE OR REPLACE VIEW bill AS
SELECT gateway, seq, body #>> '{data,bill}' AS bill, body #>> '{data,account}' AS account,
       body #>> '{data,item}' AS item, body #>> '{data,period,from}' AS period_from,
       (body #>> '{data,revision}')::int AS revision, (body #>> '{data,total_fen}')::bigint AS total_fen
FROM event WHERE kind = 'bill';
