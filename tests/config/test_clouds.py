"""What is known of each national cloud."""

import pytest

from config.clouds import CLOUDS, Cloud, CloudName


def test_every_cloud_is_known() -> None:
    """Each name that the environment may hold has its addresses."""
    assert set(CloudName) == set(CLOUDS)


def test_the_global_cloud_has_microsofts_usual_addresses() -> None:
    """The global cloud has Microsoft's usual addresses and allows proposals."""
    assert (
        Cloud(
            CloudName.GLOBAL,
            graph_url="https://graph.microsoft.com",
            authority="https://login.microsoftonline.com",
            scope="https://graph.microsoft.com/.default",
            proposals_allowed=True,
        )
        == CLOUDS[CloudName.GLOBAL]
    )


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=str)
def test_a_token_is_for_the_same_cloud(cloud: Cloud) -> None:
    """The scope carries the root of its own cloud, and only the global one allows proposals."""
    assert (f"{cloud.graph_url}/.default", cloud.name is CloudName.GLOBAL) == (
        cloud.scope,
        cloud.proposals_allowed,
    )
