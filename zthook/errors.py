"""Every error zthook raises on purpose.

    ZthookError
    ├── Permanent                 the same again changes nothing until somebody acts
    │   ├── UsageError            the command line is wrong (exit 2)
    │   ├── ConfigError           a configuration file is wrong, with its line
    │   ├── AnnotationError       an annotation is wrong, with every problem's line
    │   ├── TokenError            an enrolment token can not be used
    │   ├── NotEnrolled           this host has no edge, or this machine is no edge
    │   ├── NotFound              what was named is not there
    │   ├── Refused               the edge (or a rule of ours) says no, with the reason
    │   ├── NotAuthenticated      the credential is missing, wrong or removed
    │   ├── NotAuthorised         the credential does not reach that far
    │   ├── TwoAgents             another agent uses this host's credential
    │   └── StoreError            the edge's store can not be used as it is
    ├── Stale                     fenced: look again and send anew, in a new session where told
    │   ├── StaleSession          another session is the valid one
    │   └── StaleMessage          a later message of this session has been taken
    └── Temporary                 the same again may succeed later
        ├── EdgeUnreachable
        ├── DaemonUnreachable     our own agent's or edge's socket does not answer
        ├── HypervisorUnavailable libvirt does not answer: "unknown", never "no guests"
        ├── TooManyRequests       the edge wants us to wait, and says how long
        ├── OverlayDown           the overlay's device or address is not there
        └── KernelError           the kernel refused a change or a look

Retry is decided by these types, never by an error's text.
"""


class ZthookError(Exception):
    """The root. ``message`` says what happened and to what; ``hint`` what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def told(self) -> str:
        """Both as one text, for where there is room for one."""
        return f"{self.message}. {self.hint}".rstrip(". ")


class Permanent(ZthookError):
    """Trying the same again changes nothing until somebody acts."""


class Temporary(ZthookError):
    """The same may succeed later; callers retry with backoff."""


class Stale(ZthookError):
    """The message was fenced off; the sender must look again before it speaks again."""


class UsageError(Permanent):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(Permanent):
    """A configuration file is wrong; the message begins with ``path:line:``."""

    exit_code = 2


class AnnotationError(Permanent):
    """An annotation is wrong; the message lists each problem with its line."""


class TokenError(Permanent):
    """An enrolment token is malformed, used, expired, or of another edge."""


class NotEnrolled(Permanent):
    """No credential (host) or no edge configuration is on this machine."""


class NotFound(Permanent):
    """A guest, host, pool or address that was named does not exist."""


class Refused(Permanent):
    """The answer is no, and the message says why."""


class NotAuthenticated(Permanent):
    """The credential is missing, wrong, or its host was removed."""


class NotAuthorised(Permanent):
    """The credential is right but does not reach what was asked."""


class TwoAgents(Permanent):
    """Two running agents use one host's credential."""


class StoreError(Permanent):
    """The edge's store is damaged, of a newer version, or can not be written."""


class StaleSession(Stale):
    """This agent's session is no longer the valid one: open a new one."""


class StaleMessage(Stale):
    """A later message of the same session was already taken: compose anew."""


class EdgeUnreachable(Temporary):
    """The edge did not answer in time."""


class TooManyRequests(Temporary):
    """The edge answers so many requests of ours only; ``seconds`` is how long to wait."""

    def __init__(self, message: str, *, hint: str = "", seconds: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class DaemonUnreachable(Temporary):
    """The local daemon's socket does not answer."""


class HypervisorUnavailable(Temporary):
    """Libvirt does not answer; what runs is unknown."""


class OverlayDown(Temporary):
    """The overlay's device or address is missing."""


class KernelError(Temporary):
    """The kernel refused; the next pass looks and tries again."""
