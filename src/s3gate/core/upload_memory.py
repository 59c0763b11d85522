"""How much of an upload is in memory: bounds in bytes become batches."""

from __future__ import annotations

__all__ = ["IN_CONNECTION", "batch_size", "batches_ahead"]

# What of an upload waits in its connection, beyond what is gathered.
IN_CONNECTION = 1 << 20
# Batches that are on their way into the store while the next one is received: one is hashed, one decoded and written.
_MOST_AHEAD = 2


def batch_size(threshold: int, most: int) -> int:
    """How much is gathered before it goes to the store, so that an upload takes no more than `most` (at least 4 MiB).

    The last piece of a batch may be all that waited in the connection.
    """
    return min(threshold, most - 2 * IN_CONNECTION)


def batches_ahead(batch: int, most: int) -> int:
    """How many batches of this size may be on their way into the store while the next one is gathered."""
    return min((most - IN_CONNECTION) // (batch + IN_CONNECTION) - 1, _MOST_AHEAD)
