-- Times are nanoseconds since 1970 UTC, 0 for none. doc is the noun as JSON; the
-- other columns are those that a query needs.

-- +goose Up
CREATE TABLE incidents (
    id         TEXT PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    pattern    TEXT   NOT NULL,
    opened_at  BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    signals    BIGINT NOT NULL DEFAULT 0, -- distinct linked signals, also those pruned since
    doc        TEXT   NOT NULL
);
CREATE INDEX incidents_state ON incidents (state, opened_at);
CREATE INDEX incidents_opened ON incidents (opened_at);
CREATE INDEX incidents_due ON incidents (due_at) WHERE due_at > 0;

CREATE TABLE events (
    n        INTEGER PRIMARY KEY,
    incident TEXT   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    at       BIGINT NOT NULL,
    doc      TEXT   NOT NULL
);
CREATE INDEX events_incident ON events (incident, at, n);

-- Signals that were linked to an incident, and changes.
CREATE TABLE signals (
    id      TEXT PRIMARY KEY,
    kind    TEXT   NOT NULL,
    service TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX signals_kind ON signals (kind, at);
CREATE INDEX signals_at ON signals (at);

CREATE TABLE links (
    incident TEXT   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    signal   TEXT   NOT NULL REFERENCES signals (id) ON DELETE CASCADE,
    at       BIGINT NOT NULL,
    PRIMARY KEY (incident, signal)
);
CREATE INDEX links_signal ON links (signal);
CREATE INDEX links_order ON links (incident, at);

-- Recent log lines of each service, a ring.
CREATE TABLE logs (
    n       INTEGER PRIMARY KEY,
    id      TEXT   NOT NULL UNIQUE,
    service TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    body    TEXT   NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX logs_service ON logs (service, n);
CREATE INDEX logs_at ON logs (at);

CREATE TABLE points (
    name    TEXT   NOT NULL,
    service TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    value   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, service, at)
) WITHOUT ROWID;
CREATE INDEX points_at ON points (at);

CREATE TABLE states (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE leases (
    name    TEXT PRIMARY KEY,
    owner   TEXT   NOT NULL,
    fence   BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX leases_fence ON leases (fence);

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE runs (
    id       TEXT PRIMARY KEY,
    incident TEXT   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    created  BIGINT NOT NULL,
    doc      TEXT   NOT NULL
);
CREATE INDEX runs_incident ON runs (incident, created);
CREATE INDEX runs_created ON runs (created);

CREATE TABLE approvals (
    id       TEXT PRIMARY KEY,
    incident TEXT   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    asked    BIGINT NOT NULL,
    doc      TEXT   NOT NULL
);
CREATE INDEX approvals_incident ON approvals (incident, asked);

CREATE TABLE notifications (
    id       TEXT PRIMARY KEY,
    incident TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    next_try BIGINT NOT NULL, -- 0: sent or given up
    doc      TEXT   NOT NULL
);
CREATE INDEX notifications_incident ON notifications (incident, created);
CREATE INDEX notifications_due ON notifications (next_try) WHERE next_try > 0;

CREATE TABLE trust (
    service TEXT   NOT NULL,
    issuer  TEXT   NOT NULL,
    kid     TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    doc     TEXT   NOT NULL,
    PRIMARY KEY (service, issuer, kid)
);

CREATE TABLE keysets (
    issuer TEXT PRIMARY KEY,
    at     BIGINT NOT NULL,
    doc    TEXT   NOT NULL
);

CREATE TABLE outcomes (
    skill   TEXT   NOT NULL,
    version TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    ref     TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    doc     TEXT   NOT NULL,
    PRIMARY KEY (skill, version, kind, ref)
);

CREATE TABLE reports (
    id      TEXT PRIMARY KEY,
    started BIGINT NOT NULL,
    doc     TEXT   NOT NULL
);
CREATE INDEX reports_started ON reports (started);
