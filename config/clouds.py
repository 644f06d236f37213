"""
The four clouds: where Graph and Entra ID are in each, and what each lacks.

Tokens of one cloud are worthless in another, so root, authority and scope always change together.
"""

from dataclasses import dataclass
from enum import StrEnum


class CloudName(StrEnum):
    """What `BULKRSVP_CLOUD` may say."""

    GLOBAL = "global"
    USGOV = "usgov"
    DOD = "dod"
    CHINA = "china"


@dataclass(frozen=True, slots=True)
class Cloud:
    """
    One national cloud (Graph: national cloud deployments).

    `graph_url` is the root without a version. `scope` carries the root of the same cloud.
    `proposals_allowed` is whether that cloud's schema has `proposedNewTime`.
    """

    name: CloudName
    graph_url: str
    authority: str
    scope: str
    proposals_allowed: bool


def _cloud(name: CloudName, graph: str, authority: str, *, proposals_allowed: bool) -> Cloud:
    root = f"https://{graph}"
    return Cloud(name, root, f"https://{authority}", f"{root}/.default", proposals_allowed)


CLOUDS: dict[CloudName, Cloud] = {
    cloud.name: cloud
    for cloud in (
        _cloud(
            CloudName.GLOBAL,
            "graph.microsoft.com",
            "login.microsoftonline.com",
            proposals_allowed=True,
        ),
        _cloud(
            CloudName.USGOV,
            "graph.microsoft.us",
            "login.microsoftonline.us",
            proposals_allowed=False,
        ),
        # Both US Government levels share one authority and, as far as is known, one schema.
        _cloud(
            CloudName.DOD,
            "dod-graph.microsoft.us",
            "login.microsoftonline.us",
            proposals_allowed=False,
        ),
        _cloud(
            CloudName.CHINA,
            "microsoftgraph.chinacloudapi.cn",
            "login.chinacloudapi.cn",
            proposals_allowed=False,
        ),
    )
}
