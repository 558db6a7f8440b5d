"""Events by name, with plain or `async` handlers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from .tasks import Tasks

log = logging.getLogger(__name__)

Handler = Callable[..., object]
"""A function or coroutine function that takes the event's payload, if it has one."""


@dataclass(frozen=True, slots=True)
class _Listener:
    handler: Handler
    once: bool


class EventEmitter:
    """Calls the handlers of an event in the order in which they were added.

    A handler that raises is logged and hurts nobody else.  What an `async` handler still
    has to do runs as a task of the emitter, which ends with it.  The methods return
    the emitter, so calls may be chained.
    """

    def __init__(self, tasks: Tasks | None = None) -> None:
        """`tasks` are those of another emitter, whose owner ends them."""
        self._listeners: dict[str, list[_Listener]] = {}
        self._handler_tasks = Tasks() if tasks is None else tasks

    def on(self, event: str, handler: Handler) -> Self:
        """Call `handler` at each `event`; added twice, it is called twice."""
        return self._add(event, handler, once=False)

    def once(self, event: str, handler: Handler) -> Self:
        """Call `handler` at the next `event` only."""
        return self._add(event, handler, once=True)

    def off(self, event: str, handler: Handler | None = None) -> Self:
        """Forget `handler` for `event`, however often and however it was added; without a
        handler, forget all of them."""
        kept = [
            listener
            for listener in self._listeners.get(event, ())
            if handler is not None and listener.handler != handler
        ]
        self._keep(event, kept)
        return self

    def remove_all_listeners(self, event: str | None = None) -> Self:
        """Forget the handlers of `event`, or of every event.  What the session itself does
        at an event goes on."""
        if event is None:
            self._listeners.clear()
        else:
            self._listeners.pop(event, None)
        return self

    def listeners(self, event: str) -> list[Handler]:
        """The handlers of `event`, in the order of their calls."""
        return [listener.handler for listener in self._listeners.get(event, ())]

    def listener_count(self, event: str) -> int:
        """How many handlers `event` has."""
        return len(self._listeners.get(event, ()))

    def event_names(self) -> list[str]:
        """The events that have handlers."""
        return list(self._listeners)

    def emit(self, event: str, *args: object) -> bool:
        """Call the handlers of `event` with `args`; says whether there was any.

        Handlers added or removed meanwhile count from the next event on.
        """
        listeners = self._listeners.get(event)
        if not listeners:
            return False
        called = tuple(listeners)
        # Before the calls: a handler that emits the event again must not be called twice.
        self._keep(event, [listener for listener in listeners if not listener.once])
        for listener in called:
            try:
                result = listener.handler(*args)
            except Exception:
                log.exception("a handler of %r failed", event)
                continue
            if inspect.isawaitable(result):
                self._handler_tasks.start(_finish(result, event), f"handler of {event!r}")
        return True

    def _add(self, event: str, handler: Handler, *, once: bool) -> Self:
        if not callable(handler):
            raise TypeError(f"the handler of {event!r} must be a function, not {handler!r}")
        self._listeners.setdefault(event, []).append(_Listener(handler, once))
        return self

    def _keep(self, event: str, listeners: list[_Listener]) -> None:
        if listeners:
            self._listeners[event] = listeners
        else:
            self._listeners.pop(event, None)


async def _finish(result: Awaitable[Any], event: str) -> None:
    try:
        await result
    except Exception:
        log.exception("a handler of %r failed", event)
