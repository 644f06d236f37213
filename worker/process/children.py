"""The environment of a process that we start: this one's, with other settings in place of ours."""

import os
from collections.abc import Mapping

from config.settings import PREFIX, VARIABLES

FOREIGN = ("AZURE_", "IDENTITY_", "MSI_")
"""What azure-identity reads beside what the settings name."""


def child_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of ours, and with `values`."""
    ours = frozenset(VARIABLES.values())
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith((PREFIX, *FOREIGN))
    }
    return {**inherited, **values}
