"""What all tests share.

The ordinary run tries the same examples each time: one that fails by luck would be a fault of
somebody else's change. `./install.sh test --all` looks for new ones.
"""

import signal

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile("same")

# Two of the three shares run in the background of a shell, where Ctrl-C is ignored, and so it would
# be by all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# install.sh ends the tests that run beside the labs by SIGTERM: they clean up as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)
