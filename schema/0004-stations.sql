-- SPDX-License-Identifier: Apache-2.0
-- compatible from 1
-- What a gateway shows at the TLS door (Basics Station): the SHA-256 of a token, or of its certificate in DER.
CREATE TABLE gateway_key (
    tenant      BIGINT NOT NULL,
    eui         BIGINT NOT NULL,
    hash        BYTEA NOT NULL,
    kind        BIGINT NOT NULL,           -- 0 token, 1 certificate
    doors       BIGINT NOT NULL,           -- bit 0: its frames (LNS); bit 1: its settings (CUPS)
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT NOT NULL,           -- 0: never
    used_us     BIGINT NOT NULL,           -- the first time; 0: never
    replaced    BIGINT NOT NULL,           -- 1: a new one is wanted, this one goes when that one is used
    crc         BIGINT NOT NULL,           -- CRC-32 of the bytes that CUPS gave it in; -1: it came by hand
    sum         BIGINT,
    PRIMARY KEY (tenant, eui, hash)
) /*sqlite: WITHOUT ROWID*/;
