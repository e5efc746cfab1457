"""Errors as they cross the wire: one name and one HTTP status for each type."""

from zthook import errors
from zthook.errors import ZthookError
from zthook.wire.messages import ErrorReply

_WIRE: dict[str, tuple[type[ZthookError], int]] = {
    "bad_request": (errors.UsageError, 400),
    "bad_token": (errors.TokenError, 403),
    "not_authenticated": (errors.NotAuthenticated, 401),
    "not_authorised": (errors.NotAuthorised, 403),
    "not_found": (errors.NotFound, 404),
    "refused": (errors.Refused, 409),
    "two_agents": (errors.TwoAgents, 409),
    "stale_session": (errors.StaleSession, 409),
    "stale_message": (errors.StaleMessage, 409),
    "too_many": (errors.TooManyRequests, 429),
    "store": (errors.StoreError, 500),
    "kernel": (errors.KernelError, 503),
    "overlay_down": (errors.OverlayDown, 503),
    "unavailable": (errors.Temporary, 503),
}
_NAME_OF = {kind: name for name, (kind, _) in _WIRE.items()}


def to_reply(error: ZthookError) -> tuple[int, ErrorReply]:
    """The HTTP status and body for an error; a type without a name goes as ``unavailable``."""
    name = _NAME_OF.get(type(error), "unavailable")
    return _WIRE[name][1], ErrorReply(error=name, message=error.message, hint=error.hint)


def from_reply(reply: ErrorReply) -> ZthookError:
    """The error that a body describes; an unknown name is temporary (a newer edge)."""
    kind, _ = _WIRE.get(reply.error, (errors.Temporary, 503))
    return kind(reply.message, hint=reply.hint)
