-- SPDX-License-Identifier: Apache-2.0
-- compatible from 1
-- The talk with a device about its radio (src/mac/params.h): what it does, what it was asked. One row a device, of
-- the session that is named in it; a row of an older session means nothing.
CREATE TABLE mac_state (
    tenant    BIGINT NOT NULL,
    dev_eui   BIGINT NOT NULL,
    session   BIGINT NOT NULL,
    state     BYTEA NOT NULL,              -- params_write()
    sum       BIGINT,
    PRIMARY KEY (tenant, dev_eui)
) /*sqlite: WITHOUT ROWID*/;

-- Why the network did what it did to a device's radio, in words: 32 slots a device, written over in turn.
CREATE TABLE mac_log (
    tenant    BIGINT NOT NULL,
    dev_eui   BIGINT NOT NULL,
    slot      BIGINT NOT NULL,
    id        BIGINT NOT NULL,
    words     TEXT NOT NULL,
    sum       BIGINT,
    PRIMARY KEY (tenant, dev_eui, slot)
) /*sqlite: WITHOUT ROWID*/;
