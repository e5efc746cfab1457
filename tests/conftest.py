"""What all tests share.

The ordinary run tries the same examples each time: one that fails by luck would be a fault of
somebody else's change. `./install.sh test --all` looks for new ones.

On two cores two processes share the work. One takes all that has real guests, one lab after
the other, so that what these promise in seconds is not a matter of how many boot at once.
"""

import hypothesis
import pytest

hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All labs in one group, and first, as they take longest; other files each in their own."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is None)
    for item in items:
        lab = item.get_closest_marker("lab") is not None
        item.add_marker(pytest.mark.xdist_group("lab" if lab else str(item.path)))
