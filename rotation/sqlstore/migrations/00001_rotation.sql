-- Both SQLite and PostgreSQL take this. Times are Unix nanoseconds; doc is JSON.
-- +goose Up
CREATE TABLE rotation_ring (
  id      BIGINT PRIMARY KEY,
  version BIGINT NOT NULL,
  doc     TEXT   NOT NULL
);
INSERT INTO rotation_ring (id, version, doc) VALUES (1, 0, '{}');

CREATE TABLE rotation_history (
  seq BIGINT PRIMARY KEY,
  doc TEXT   NOT NULL
);

CREATE TABLE rotation_instances (
  verifier TEXT   NOT NULL,
  instance TEXT   NOT NULL,
  cache    TEXT   NOT NULL,
  received BIGINT NOT NULL,
  stays    BIGINT NOT NULL,
  doc      TEXT   NOT NULL,
  PRIMARY KEY (verifier, instance, cache)
);

CREATE TABLE rotation_probes (
  verifier   TEXT   NOT NULL,
  instance   TEXT   NOT NULL,
  thumbprint TEXT   NOT NULL,
  outcome    TEXT   NOT NULL,
  streak     BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  doc        TEXT   NOT NULL,
  PRIMARY KEY (verifier, instance, thumbprint)
);

CREATE TABLE rotation_deliveries (
  id      TEXT   PRIMARY KEY,
  url     TEXT   NOT NULL,
  state   TEXT   NOT NULL,
  created BIGINT NOT NULL,
  next    BIGINT NOT NULL,
  claimed BIGINT NOT NULL,
  doc     TEXT   NOT NULL
);
CREATE INDEX rotation_deliveries_due ON rotation_deliveries (state, next);

CREATE TABLE rotation_vault (
  name TEXT PRIMARY KEY,
  box  TEXT NOT NULL
);
