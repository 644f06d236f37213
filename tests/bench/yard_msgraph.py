"""
Yardstick (b): Microsoft's own SDK, asyncio, and a semaphore of 20, as its users share it.

What comes back after 429, 503 and 504 is the SDK's own affair. Whatever it raises is passed over;
when it is started again it begins with the first row.
"""

import asyncio
import os
import sys
from typing import Any, Final

from azure.core.credentials import AccessToken
from kiota_abstractions.api_error import APIError
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.users.item.events.item.decline.decline_post_request_body import (
    DeclinePostRequestBody,
)
from msgraph.generated.users.item.events.item.tentatively_accept import (
    tentatively_accept_post_request_body as tentative,
)

from tests.bench.yard_rows import GRAPH_URL, Wanted, read_wanted

AT_ONCE: Final = 20


class FixedCredential:
    """A token that costs nothing."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return it."""
        return AccessToken("benchmark", 2**31)


def open_client() -> GraphServiceClient:
    """Return the SDK's client, pointed to the simulated Graph."""
    provider = AzureIdentityAuthenticationProvider(
        FixedCredential(),
        scopes=["https://graph.microsoft.com/.default"],
        allowed_hosts=["127.0.0.1"],
    )
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{os.environ[GRAPH_URL]}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


async def send_all(file: str) -> None:
    """Send everything."""
    client, limit = open_client(), asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(_send(client, limit, one) for one in read_wanted(file)))


async def _send(client: GraphServiceClient, limit: asyncio.Semaphore, one: Wanted) -> None:
    event = client.users.by_user_id(one.user).events.by_event_id(one.event)
    async with limit:
        try:
            if one.action == "decline":
                declining = DeclinePostRequestBody(comment=one.comment, send_response=True)
                await event.decline.post(declining)
            else:
                accepting = tentative.TentativelyAcceptPostRequestBody(
                    comment=one.comment, send_response=True
                )
                await event.tentatively_accept.post(accepting)
        except (APIError, OSError):
            return


if __name__ == "__main__":
    asyncio.run(send_all(sys.argv[1]))
