"""The home of the host's tests, made once for these."""

from tests.kernel_host.conftest import built, dataplane, home, version

__all__ = ["built", "dataplane", "home", "version"]
