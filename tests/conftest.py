"""What all tests share: the ordinary run tries the same examples each time, --all tries others.

A failing example that an ordinary run found by luck would be a fault of somebody else's
change; those are looked for by hand, with `./install.sh test --all`.
"""

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile("same")
