"""Can edge.toml be read?"""

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, ok


def check(case: EdgeCase) -> Finding:
    """Read it; raises NotEnrolled, ConfigError."""
    _ = case.settings
    return ok(str(case.places.edge_config))
