"""Asks the edge for what it tells everybody, to see who answers, and what time it has."""

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from zthook.host.credential import Credential
from zthook.wire.tls import pinned_context, server_name

SECONDS = 2.5
NOT_YET, EXPIRED = 9, 10
"""What OpenSSL says of a certificate at the wrong time (x509_vfy.h)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``error`` says why nothing of ours answered. ``untimely``: by this machine's clock its
    certificate does not count yet, or no more. ``ahead`` is how many seconds this machine's
    clock is ahead of the edge's, None where it did not say.
    """

    error: str = ""
    stranger: bool = False
    untimely: bool = False
    ahead: float | None = None


def ask(credential: Credential) -> Asked:
    """One request without a credential."""
    try:
        with socket.create_connection((credential.address, credential.port), SECONDS) as link:
            context = pinned_context(credential.ca_pem)
            with context.wrap_socket(link, server_hostname=server_name(credential.edge)) as safe:
                return Asked(ahead=_ahead(credential.address, safe))
    except ssl.SSLCertVerificationError as error:
        untimely = error.verify_code in (NOT_YET, EXPIRED)
        return Asked(error.verify_message, stranger=not untimely, untimely=untimely)
    except TimeoutError:
        return Asked("no answer in time")
    except (OSError, http.client.HTTPException) as error:
        return Asked(getattr(error, "strerror", None) or str(error))


def _ahead(address: str, link: socket.socket) -> float | None:
    asking = http.client.HTTPConnection(address)
    asking.sock = link
    asking.request("GET", "/v1/ca")
    date = asking.getresponse().getheader("Date")
    return time.time() - parsedate_to_datetime(date).timestamp() if date else None
