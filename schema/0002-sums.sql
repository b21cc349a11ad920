-- SPDX-License-Identifier: Apache-2.0
-- compatible from 1
-- Rows that know when they are damaged (docs/adr/0014). `sum` is a CRC-32C over the row's other
-- columns (src/db/sum.c); NULL: written before sums were, or by a program that knows none.
-- Not summed: schema_version.

ALTER TABLE tenant ADD COLUMN sum BIGINT;
UPDATE tenant SET sum = 4215085313 WHERE number = 1 AND name = 'city' AND created_us = 0;
ALTER TABLE mark ADD COLUMN sum BIGINT;
ALTER TABLE token ADD COLUMN sum BIGINT;
ALTER TABLE gateway ADD COLUMN sum BIGINT;
ALTER TABLE device ADD COLUMN sum BIGINT;
ALTER TABLE join_state ADD COLUMN sum BIGINT;
ALTER TABLE dev_nonce ADD COLUMN sum BIGINT;
ALTER TABLE session ADD COLUMN sum BIGINT;
ALTER TABLE device_state ADD COLUMN sum BIGINT;
ALTER TABLE uplink ADD COLUMN sum BIGINT;
ALTER TABLE uplink_copies ADD COLUMN sum BIGINT;
ALTER TABLE subject_key ADD COLUMN sum BIGINT;
ALTER TABLE refusal ADD COLUMN sum BIGINT;
ALTER TABLE downlink ADD COLUMN sum BIGINT;
ALTER TABLE intent ADD COLUMN sum BIGINT;
ALTER TABLE entity ADD COLUMN sum BIGINT;
ALTER TABLE reading ADD COLUMN sum BIGINT;
ALTER TABLE gateway_state ADD COLUMN sum BIGINT;
ALTER TABLE gateway_hour ADD COLUMN sum BIGINT;
ALTER TABLE stranger ADD COLUMN sum BIGINT;

-- What a day held when it was over: rows that are lost later are missed. Each day's hash begins with
-- that of the day before (src/flow/seal.c).
CREATE TABLE day_seal (
    tenant    BIGINT NOT NULL,
    day       BIGINT NOT NULL,             -- days since 1970, UTC, of the events' ids
    uplinks   BIGINT NOT NULL,
    readings  BIGINT NOT NULL,
    hash      BYTEA NOT NULL,              -- SHA-256
    sum       BIGINT,
    PRIMARY KEY (tenant, day)
) /*sqlite: WITHOUT ROWID*/;
