-- The tables of mekiki.db, version 4. Ids are hex digits of SHA-256; times of day are ISO 8601 in UTC.
-- Rows are added by runs and never edited; who may write which table stands in catalog/writers.py.

CREATE TABLE runs (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id       TEXT NOT NULL UNIQUE,
    stage        TEXT NOT NULL,
    settings     TEXT NOT NULL,              -- JSON, resolved
    identity     TEXT NOT NULL DEFAULT '',   -- backend, weights, preprocessing, precision
    reads        TEXT NOT NULL DEFAULT '{}', -- JSON: run ids and hashes it was computed from
    status       TEXT NOT NULL,              -- running | finished | stopped | stale: rows were forgotten
    started_at   TEXT NOT NULL,
    finished_at  TEXT,
    device       TEXT NOT NULL DEFAULT 'cpu',
    version      TEXT NOT NULL,              -- mekiki's
    summary      TEXT                        -- JSON of the last invocation that did something
);

CREATE TABLE items (
    item_id      TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,              -- image | video | frame | crop | variant | vector
    parent_id    TEXT,
    path         TEXT,                       -- only of files that mekiki made, relative to the workspace
    width_px     INTEGER NOT NULL,           -- upright
    height_px    INTEGER NOT NULL,
    format       TEXT,
    captured_at  TEXT,                       -- local time of the camera, YYYY-MM-DD HH:MM:SS
    pts          INTEGER,                    -- frames: presentation stamp in units of time_base
    time_base    TEXT,                       -- frames: seconds, as a fraction
    time_s       REAL,                       -- frames: seconds from the start of the video
    frame_index  INTEGER,                    -- frames: number in decoding order, from 0, where known
    duration_s   REAL,                       -- videos
    fps          REAL,                       -- videos: mean
    n_frames     INTEGER,                    -- videos, where known
    operation    TEXT,                       -- variants: flip, white background, ...
    parameters   TEXT                        -- crops and variants: JSON
) WITHOUT ROWID;
CREATE INDEX items_by_kind ON items (kind, item_id);
CREATE INDEX items_by_parent ON items (parent_id);
CREATE INDEX items_by_path ON items (path) WHERE path IS NOT NULL;

CREATE TABLE sources (
    path         TEXT PRIMARY KEY,           -- absolute, or relative to the workspace when inside it
    item_id      TEXT NOT NULL,
    size_bytes   INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sources_by_item ON sources (item_id, path);

CREATE TABLE vector_rows (                   -- rows of matrices of vectors that an index names
    path         TEXT PRIMARY KEY,           -- matrix.npy#12, otherwise as in sources
    item_id      TEXT NOT NULL,              -- the picture whose vector it is, or the item of kind vector that it is
    name         TEXT NOT NULL,              -- in the index
    vector_id    TEXT NOT NULL,              -- of its numbers
    n_dims       INTEGER NOT NULL,
    size_bytes   INTEGER NOT NULL,           -- of the matrix
    mtime_ns     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX vector_rows_by_item ON vector_rows (item_id);
CREATE INDEX vector_rows_by_name ON vector_rows (name);

CREATE TABLE made (                          -- which run asked for which derived item
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id)
) WITHOUT ROWID;

CREATE TABLE groups (
    kind         TEXT NOT NULL,              -- source | near-duplicate | burst | identity | site | camera
    key          TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    run_id       TEXT NOT NULL,
    PRIMARY KEY (kind, key, item_id, run_id)
) WITHOUT ROWID;
CREATE INDEX groups_by_item ON groups (item_id);

CREATE TABLE hashes (
    item_id      TEXT PRIMARY KEY,
    phash        INTEGER NOT NULL,           -- 64 bits, as a signed integer
    mirrored     INTEGER NOT NULL,           -- of the mirrored picture
    is_flat      INTEGER NOT NULL,
    thumbnail    BLOB NOT NULL               -- 32 x 32, uint8
);

CREATE TABLE attributes (
    item_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    value        TEXT NOT NULL,
    run_id       TEXT NOT NULL,
    PRIMARY KEY (item_id, name, run_id)
) WITHOUT ROWID;

CREATE TABLE classes (
    name         TEXT PRIMARY KEY,
    position     INTEGER NOT NULL,
    aliases      TEXT NOT NULL DEFAULT '[]'  -- JSON list
) WITHOUT ROWID;

CREATE TABLE boxes (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    position     INTEGER NOT NULL,
    class_name   TEXT NOT NULL,
    score        REAL NOT NULL,
    x_min REAL NOT NULL, y_min REAL NOT NULL, x_max REAL NOT NULL, y_max REAL NOT NULL,
    crop_id      TEXT,                       -- the item that was cut there; NULL where none was
    PRIMARY KEY (run_id, item_id, position)
) WITHOUT ROWID;
CREATE INDEX boxes_by_crop ON boxes (crop_id) WHERE crop_id IS NOT NULL;
CREATE INDEX boxes_by_item ON boxes (item_id);

CREATE TABLE masks (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    path         TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id, name)
) WITHOUT ROWID;

CREATE TABLE vectors (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    segment      TEXT NOT NULL,
    row          INTEGER NOT NULL,
    PRIMARY KEY (run_id, item_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX vectors_by_place ON vectors (run_id, segment, row);

CREATE TABLE labels (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    class_name   TEXT NOT NULL,
    annotator    TEXT NOT NULL,              -- import:..., human:..., vlm:..., zero-shot:...
    state        TEXT NOT NULL,              -- present | absent | unsure
    confidence   REAL NOT NULL,
    PRIMARY KEY (item_id, annotator, class_name, run_id)
) WITHOUT ROWID;
CREATE INDEX labels_by_run ON labels (run_id);
CREATE INDEX labels_told ON labels (state, class_name, item_id) WHERE state <> 'absent';

CREATE TABLE splits (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    part         TEXT NOT NULL,
    atom         TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id)
) WITHOUT ROWID;

CREATE TABLE models (
    model_id     TEXT PRIMARY KEY,
    run_id       TEXT NOT NULL,
    name         TEXT NOT NULL,
    path         TEXT NOT NULL,
    parents      TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;

CREATE TABLE predictions (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    class_name   TEXT NOT NULL,
    score        REAL NOT NULL,
    PRIMARY KEY (run_id, item_id, class_name)
) WITHOUT ROWID;

CREATE TABLE heatmaps (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    class_name   TEXT NOT NULL,
    path         TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id, class_name)
) WITHOUT ROWID;

CREATE TABLE rarity (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    scorer       TEXT NOT NULL,
    score        REAL NOT NULL,
    PRIMARY KEY (run_id, item_id, scorer)
) WITHOUT ROWID;

CREATE TABLE captions (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    position     INTEGER NOT NULL,
    annotator    TEXT NOT NULL,
    text         TEXT NOT NULL,
    start_s      REAL,
    end_s        REAL,
    PRIMARY KEY (run_id, item_id, position)
) WITHOUT ROWID;
CREATE INDEX captions_by_item ON captions (item_id);

CREATE TABLE done (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id)
) WITHOUT ROWID;

CREATE TABLE failures (
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    stage        TEXT NOT NULL,
    path         TEXT NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (run_id, item_id)
) WITHOUT ROWID;
CREATE INDEX failures_by_stage ON failures (stage, path);

CREATE TABLE answers (
    key          TEXT PRIMARY KEY,
    answer       TEXT NOT NULL,              -- JSON
    usage        TEXT NOT NULL DEFAULT '{}', -- JSON: tokens and cost
    received_at  TEXT NOT NULL
) WITHOUT ROWID;
