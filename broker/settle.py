"""Run a coroutine that has nothing to wait for, without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from broker.errors import PluginWaitsError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def settle(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result.

    amqtt's plugins are coroutines; over files that were read before they never suspend. Driving them at
    once spares a task a packet.

    Raises:
        PluginWaitsError: it suspended.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise PluginWaitsError
