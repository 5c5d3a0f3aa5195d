-- Applied by the agent on the main whenever it opens the database; running it again changes nothing.
CREATE DATABASE IF NOT EXISTS m2 CHARACTER SET utf8mb4;

-- One row a call attempt. The unique key makes it harmless to insert a record twice.
CREATE TABLE IF NOT EXISTS m2.calls (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    server_id SMALLINT UNSIGNED NOT NULL,
    call_id VARBINARY(255) NOT NULL,
    from_tag VARBINARY(128) NOT NULL,
    to_tag VARBINARY(128) NOT NULL,
    leg TINYINT UNSIGNED NOT NULL,
    began DATETIME(3) NOT NULL COMMENT 'UTC',
    answered DATETIME(3) NULL,
    ended DATETIME(3) NOT NULL,
    code SMALLINT UNSIGNED NOT NULL COMMENT 'final SIP reply; 0: none came',
    caller VARCHAR(64) NOT NULL,
    callee VARCHAR(64) NOT NULL,
    carrier_in VARCHAR(31) NOT NULL,
    carrier_out VARCHAR(31) NOT NULL,
    source VARCHAR(45) NOT NULL COMMENT 'address the call came from',
    packets INT UNSIGNED NULL COMMENT 'RTP packets relayed, both ways',
    UNIQUE KEY once (server_id, call_id, from_tag, to_tag, leg),
    KEY by_time (began, id, answered, ended),
    KEY by_caller (caller, began),
    KEY by_callee (callee, began)
) ENGINE = InnoDB;

-- Calls that were answered and have not ended; what is left of a core that died is all that it could not tell.
CREATE TABLE IF NOT EXISTS m2.calls_in_progress (
    server_id SMALLINT UNSIGNED NOT NULL,
    call_id VARBINARY(255) NOT NULL,
    from_tag VARBINARY(128) NOT NULL,
    began DATETIME(3) NOT NULL COMMENT 'UTC',
    answered DATETIME(3) NOT NULL,
    caller VARCHAR(64) NOT NULL,
    callee VARCHAR(64) NOT NULL,
    carrier_in VARCHAR(31) NOT NULL,
    carrier_out VARCHAR(31) NOT NULL,
    source VARCHAR(45) NOT NULL,
    PRIMARY KEY (server_id, call_id, from_tag)
) ENGINE = InnoDB;

-- Who may send calls, beside the carriers of the stack file; balancers read it every few seconds.
CREATE TABLE IF NOT EXISTS m2.carriers (
    identity VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'IPv4 network, or name in a TLS certificate',
    name VARCHAR(31) CHARACTER SET ascii NOT NULL COMMENT 'in call records',
    cps INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'calls a second that it may begin; 0: no limit'
) ENGINE = InnoDB;

-- What each core said of itself last.
CREATE TABLE IF NOT EXISTS m2.cores (
    server_id SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(31) NOT NULL,
    said DATETIME(3) NOT NULL COMMENT 'UTC',
    calls INT UNSIGNED NOT NULL COMMENT 'calls in progress',
    cps DECIMAL(8, 2) NOT NULL COMMENT 'calls started a second, since it spoke before',
    load1 DECIMAL(6, 2) NOT NULL COMMENT 'load average of one minute',
    journal INT UNSIGNED NOT NULL COMMENT 'records not yet shipped',
    media ENUM('kernel', 'userspace', 'container') NOT NULL COMMENT 'how RTP is relayed'
) ENGINE = InnoDB;

-- The writer's sign of life, once a second: its age on the other member is the replication delay.
CREATE TABLE IF NOT EXISTS m2.heartbeat (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    writer VARCHAR(31) NOT NULL,
    beat DATETIME(6) NOT NULL COMMENT 'UTC'
) ENGINE = InnoDB;

-- Whose database this is: written by the agent of the holder, so that no other pair's data is taken for its own.
CREATE TABLE IF NOT EXISTS m2.pair (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    cluster VARCHAR(64) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;
