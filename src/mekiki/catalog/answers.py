"""Paid or slow answers, each on the disk before anything else happens to it.

A question has a key; every call that was made for it has a row ``KEY.CALL``. A row without an answer is a call that was
begun and whose answer never came: killed, or timed out. It may have been paid for, so it counts with the most that it
can have cost. Of an answer that was forgotten, only the money stays, as a row ``forgotten.CALL``.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.catalog.db import DATABASE_NAME, ONE_OF, Catalog, Transaction
from mekiki.catalog.runs import now
from mekiki.catalog.writers import WRITERS

NO_ANSWER = "null"
FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of one run come to, over all its invocations.

    Attributes:
        n_calls: Calls that were answered, or may have been.
        n_lost: Those of them whose answer never came.
        n_keys: Different questions that were answered.
        input_tokens, output_tokens: As far as the server counted them.
        charged_in, charged_out: The same, with the most that other calls can have used.
        n_unsized: Calls of which not even that is known.
    """

    n_calls: int
    n_lost: int
    n_keys: int
    input_tokens: int
    output_tokens: int
    charged_in: float
    charged_out: float
    n_unsized: int


class AnswerStore:
    """The table ``answers`` on a connection of its own, with ``synchronous = FULL``; many threads may use it.

    Args:
        catalog: Whose; somebody must be `Catalog.writing` while this is open.
        writer: The stage.
    """

    def __init__(self, catalog: Catalog, writer: str) -> None:
        if writer not in WRITERS["answers"]:
            raise PermissionError(f"{writer!r} may not write 'answers'; see mekiki/catalog/writers.py")
        self._path: Path = catalog.workspace / DATABASE_NAME
        self._connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def find(self, key: str) -> list[dict[str, Any]]:
        """Return all answers that came for a key, the newest first."""
        sql = "SELECT answer FROM answers WHERE key >= ? AND key < ? AND answer <> ? ORDER BY received_at DESC, key"
        with self._lock:
            rows = self._connection.execute(sql, (f"{key}.", f"{key}/", NO_ANSWER)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def write(self, key: str, answer: Mapping[str, Any] | None, usage: Mapping[str, Any], row: str = "") -> str:
        """Write one row and return its name; it is on the disk when this returns.

        Args:
            key: Of the question.
            answer: What came; None for a call that is about to be made.
            usage: Run, tokens and cost.
            row: One that was written before, to be replaced.
        """
        row = row or f"{key}.{secrets.token_hex(4)}"
        values = (row, json.dumps(answer), json.dumps(dict(usage)), now())
        sql = "INSERT OR REPLACE INTO answers (key, answer, usage, received_at) VALUES (?, ?, ?, ?)"
        with self._lock:
            self._connection.execute(sql, values)
        return row

    def remove(self, row: str) -> None:
        """Delete the row of a call that the server has surely not worked on."""
        with self._lock:
            self._connection.execute("DELETE FROM answers WHERE key = ?", (row,))


def iter_answers(catalog: Catalog) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every answer with the key of its question, the newest of a key last."""
    sql = "SELECT key, answer FROM answers WHERE answer <> ? ORDER BY received_at"
    for row, answer in catalog.rows(sql, (NO_ANSWER,)):
        yield row.rpartition(".")[0], json.loads(answer)


def spent_by(catalog: Catalog, run_id: str) -> Spent:
    """Return what a run's calls come to."""
    told = ["json_extract(usage, '$.input_tokens')", "json_extract(usage, '$.output_tokens')"]
    most = ["json_extract(usage, '$.most_input_tokens')", "json_extract(usage, '$.most_output_tokens')"]
    charged = [f"coalesce({one}, {limit})" for one, limit in zip(told, most, strict=True)]
    sums = ", ".join(f"coalesce(sum({one}), 0)" for one in (*told, *charged))
    sql = (
        "SELECT count(*), coalesce(sum(answer = ? AND key NOT LIKE ?), 0), "
        "count(DISTINCT CASE WHEN answer <> ? THEN substr(key, 1, instr(key, '.') - 1) END), "
        f"{sums}, count(*) - count({charged[0]} + {charged[1]}) "
        "FROM answers WHERE json_extract(usage, '$.run_id') = ?"
    )
    row = next(catalog.rows(sql, (NO_ANSWER, f"{FORGOTTEN}.%", NO_ANSWER, run_id)))
    return Spent(*row)


def forget_answers(transaction: Transaction, item_ids: Sequence[str]) -> int:
    """Delete the answers about items and return how many; that they were paid for stays known."""
    where, parameters = f"json_extract(answer, '$.item_id') IN {ONE_OF}", (json.dumps(item_ids),)
    found = list(transaction.catalog.rows(f"SELECT usage, received_at FROM answers WHERE {where}", parameters))
    rows = [(f"{FORGOTTEN}.{secrets.token_hex(16)}", NO_ANSWER, *row) for row in found]
    transaction.upsert("answers", ("key", "answer", "usage", "received_at"), rows)
    return transaction.delete("answers", where, parameters)
