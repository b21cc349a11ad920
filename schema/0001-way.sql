-- SPDX-License-Identifier: Apache-2.0
-- The way of an uplink. One text for both databases. The tenant leads every key; ids are made by
-- us: they rise and carry the time (microseconds since 1970), so time stands in every primary key.
-- Wrapped keys are AES key wrap (RFC 3394) under a key that is not in this database.

CREATE TABLE tenant (
    number      BIGINT NOT NULL,
    name        TEXT NOT NULL,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (number)
) /*sqlite: WITHOUT ROWID*/;
INSERT INTO tenant (number, name, created_us) VALUES (1, 'city', 0);

-- Small facts of a tenant: up to which event the write-behind rows are rolled forward, and the like.
CREATE TABLE mark (
    tenant  BIGINT NOT NULL,
    name    TEXT NOT NULL,
    value   BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
) /*sqlite: WITHOUT ROWID*/;

-- Who may call: SHA-256 of a 256-bit random token; the token itself is shown once.
CREATE TABLE token (
    tenant      BIGINT NOT NULL,
    hash        BYTEA NOT NULL,
    name        TEXT NOT NULL,
    rights      BIGINT NOT NULL,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
) /*sqlite: WITHOUT ROWID*/;

CREATE TABLE gateway (
    tenant      BIGINT NOT NULL,
    eui         BIGINT NOT NULL,
    name        TEXT NOT NULL,
    latitude    DOUBLE PRECISION,
    longitude   DOUBLE PRECISION,
    altitude_m  DOUBLE PRECISION,
    region      TEXT NOT NULL,
    simulated   BIGINT NOT NULL,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, eui)
) /*sqlite: WITHOUT ROWID*/;

CREATE TABLE device (
    tenant      BIGINT NOT NULL,
    dev_eui     BIGINT NOT NULL,
    join_eui    BIGINT NOT NULL,
    name        TEXT NOT NULL,
    profile     TEXT NOT NULL,
    app_key     BYTEA NOT NULL,            -- wrapped
    nwk_key     BYTEA,                     -- wrapped; LoRaWAN 1.1 only
    latitude    DOUBLE PRECISION,
    longitude   DOUBLE PRECISION,
    simulated   BIGINT NOT NULL,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, dev_eui)
) /*sqlite: WITHOUT ROWID*/;

-- The accept leaves after the commit that holds its JoinNonce: a crash leaves a gap, never a repetition.
CREATE TABLE join_state (
    tenant       BIGINT NOT NULL,
    dev_eui      BIGINT NOT NULL,
    join_nonce   BIGINT NOT NULL,          -- the highest ever given
    PRIMARY KEY (tenant, dev_eui)
) /*sqlite: WITHOUT ROWID*/;

-- A DevNonce accepted once is never accepted again, for ever.
CREATE TABLE dev_nonce (
    tenant     BIGINT NOT NULL,
    dev_eui    BIGINT NOT NULL,
    nonce      BIGINT NOT NULL,
    joined_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, dev_eui, nonce)
) /*sqlite: WITHOUT ROWID*/;

-- state 0: pending, from the join-accept to the first uplink under it; 1: current.
CREATE TABLE session (
    tenant          BIGINT NOT NULL,
    dev_eui         BIGINT NOT NULL,
    id              BIGINT NOT NULL,
    state           BIGINT NOT NULL,
    devaddr         BIGINT NOT NULL,
    f_nwk_s_int_key BYTEA NOT NULL,        -- wrapped; 1.0.x: NwkSKey
    s_nwk_s_int_key BYTEA,                 -- wrapped; 1.1 only
    nwk_s_enc_key   BYTEA,                 -- wrapped; 1.1 only
    app_s_key       BYTEA NOT NULL,        -- wrapped
    down_reserved   BIGINT NOT NULL,       -- no FCntDown (NFCntDown) at or above this was ever used
    app_down_reserved BIGINT NOT NULL,     -- the same for AFCntDown (1.1)
    rx1_delay_s     BIGINT NOT NULL,
    rx1_dr_offset   BIGINT NOT NULL,
    rx2_dr          BIGINT NOT NULL,
    rx2_hz          BIGINT NOT NULL,
    dwell           BIGINT NOT NULL,       -- what the device is known to do: bit 0 uplink, bit 1 downlink
    PRIMARY KEY (tenant, dev_eui, id)
) /*sqlite: WITHOUT ROWID*/;

-- Written behind, and rolled forward from the uplinks at start.
CREATE TABLE device_state (
    tenant       BIGINT NOT NULL,
    dev_eui      BIGINT NOT NULL,
    last_uplink  BIGINT NOT NULL,          -- head of the device's chain of uplinks
    session      BIGINT NOT NULL,
    fcnt_up      BIGINT NOT NULL,
    battery_pct  BIGINT NOT NULL,          -- -1: not known
    PRIMARY KEY (tenant, dev_eui)
) /*sqlite: WITHOUT ROWID*/;

-- The event: one row an uplink. `prev` chains a device's uplinks, newest to oldest.
CREATE TABLE uplink (
    tenant       BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    dev_eui      BIGINT NOT NULL,
    session      BIGINT NOT NULL,
    fcnt         BIGINT NOT NULL,
    prev         BIGINT NOT NULL,
    received_us  BIGINT NOT NULL,
    flags        BIGINT NOT NULL,          -- fport + 1 in bits 0-8; 9 confirmed, 10 ADR, 11 personal
    fopts        BYTEA NOT NULL,           -- MAC commands in clear
    payload      BYTEA NOT NULL,           -- in clear; personal: AES-256-GCM under the subject key
    radio        BYTEA NOT NULL,           -- the first copy; layout in mac/radio.c
    PRIMARY KEY (tenant, id)
) /*sqlite: WITHOUT ROWID*/;

-- All copies of an uplink, when there were several.
CREATE TABLE uplink_copies (
    tenant  BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    radio   BYTEA NOT NULL,
    PRIMARY KEY (tenant, id)
) /*sqlite: WITHOUT ROWID*/;

-- A data key per personal device, wrapped. Destroying the row erases what was stored under it.
CREATE TABLE subject_key (
    tenant      BIGINT NOT NULL,
    dev_eui     BIGINT NOT NULL,
    key         BYTEA NOT NULL,
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, dev_eui)
) /*sqlite: WITHOUT ROWID*/;

-- The last refusals of a device (16 slots), and of frames that name no device (dev_eui 0, 256 slots).
CREATE TABLE refusal (
    tenant   BIGINT NOT NULL,
    dev_eui  BIGINT NOT NULL,
    slot     BIGINT NOT NULL,
    id       BIGINT NOT NULL,
    word     TEXT NOT NULL,                -- DROP_…
    gateway  BIGINT NOT NULL,
    detail   TEXT NOT NULL,
    PRIMARY KEY (tenant, dev_eui, slot)
) /*sqlite: WITHOUT ROWID*/;

-- What is to be sent, and what became of it. kind 0: application data, 1: answer of the network
-- (acknowledgement, MAC commands), 2: join-accept. state: see enum down_state in core/core.h.
CREATE TABLE downlink (
    tenant      BIGINT NOT NULL,
    dev_eui     BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    kind        BIGINT NOT NULL,
    state       BIGINT NOT NULL,
    confirmed   BIGINT NOT NULL,
    fport       BIGINT NOT NULL,
    payload     BYTEA NOT NULL,
    expires_us  BIGINT NOT NULL,
    sent_us     BIGINT NOT NULL,
    fcnt        BIGINT NOT NULL,           -- -1: none given yet
    gateway     BIGINT NOT NULL,
    mac         TEXT NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (tenant, dev_eui, id)
) /*sqlite: WITHOUT ROWID*/;

-- Work that outlives a crash: uplinks that wait for their JavaScript codec (kind 0).
CREATE TABLE intent (
    tenant   BIGINT NOT NULL,
    id       BIGINT NOT NULL,
    kind     BIGINT NOT NULL,
    tries    BIGINT NOT NULL,
    PRIMARY KEY (tenant, id, kind)
) /*sqlite: WITHOUT ROWID*/;

-- Entities as they are now; attributes as one NGSI-LD object, values and flags together.
CREATE TABLE entity (
    tenant       BIGINT NOT NULL,
    id           TEXT NOT NULL,
    type         TEXT NOT NULL,
    attributes   TEXT NOT NULL,
    last_reading BIGINT NOT NULL,          -- head of the entity's chain of readings
    created_us   BIGINT NOT NULL,
    modified_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /*sqlite: WITHOUT ROWID*/;
CREATE INDEX entity_type ON entity (tenant, type, id);

-- History: one row a reading (never a row a point). `prev` chains an entity's readings.
CREATE TABLE reading (
    tenant       BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    entity       TEXT NOT NULL,
    prev         BIGINT NOT NULL,
    uplink       BIGINT NOT NULL,
    dev_eui      BIGINT NOT NULL,
    observed_us  BIGINT NOT NULL,
    attributes   TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) /*sqlite: WITHOUT ROWID*/;

-- Gateways as they were last heard, and their hours; written behind.
CREATE TABLE gateway_state (
    tenant       BIGINT NOT NULL,
    eui          BIGINT NOT NULL,
    last_seen_us BIGINT NOT NULL,
    address      TEXT NOT NULL,
    PRIMARY KEY (tenant, eui)
) /*sqlite: WITHOUT ROWID*/;

CREATE TABLE gateway_hour (
    tenant       BIGINT NOT NULL,
    eui          BIGINT NOT NULL,
    hour         BIGINT NOT NULL,          -- hours since 1970
    rx_ok        BIGINT NOT NULL,
    rx_bad       BIGINT NOT NULL,          -- checksum bad, as the gateway said
    rx_air_us    BIGINT NOT NULL,
    tx           BIGINT NOT NULL,
    tx_air_us    BIGINT NOT NULL,
    PRIMARY KEY (tenant, eui, hour)
) /*sqlite: WITHOUT ROWID*/;

-- Gateways that knocked without being registered (at most 100 are kept).
CREATE TABLE stranger (
    tenant       BIGINT NOT NULL,
    eui          BIGINT NOT NULL,
    last_seen_us BIGINT NOT NULL,
    datagrams    BIGINT NOT NULL,
    address      TEXT NOT NULL,
    PRIMARY KEY (tenant, eui)
) /*sqlite: WITHOUT ROWID*/;

CREATE INDEX downlink_open ON downlink (tenant, dev_eui, id) WHERE state < 2;
