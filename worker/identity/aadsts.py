"""
What to do about an AADSTS number of Entra ID: one table, from numbers to their hint.

The numbers are those that an application can get without a user: with a secret, a certificate, a
federated token or a managed identity. A hint claims no more than Microsoft says of its numbers
(Entra ID: error codes; Azure Pipelines: troubleshoot workload identity; azure-identity:
troubleshooting), and where Microsoft names no single cause, it says what to check.
"""

from typing import Final

_HINTS: Final[dict[tuple[int, ...], str]] = {
    # The secret.
    (7000215,): "set AZURE_CLIENT_SECRET to the secret's value, not to its id",
    (7000222,): "the client secret has expired: make a new one and set AZURE_CLIENT_SECRET",
    (70002,): "the credential is wrong: check the AZURE_* variables",
    (7000216, 7000218, 7000219): "no secret or certificate arrived: check the AZURE_* variables",
    (90014, 900144): "a part of the credential is missing: check the AZURE_* variables",
    (700025,): (
        "the application is a public client, which cannot use a secret or certificate: register"
        " a confidential one"
    ),
    (7000232,): (
        "AZURE_CLIENT_ID is a managed identity, which has no secret: unset AZURE_CLIENT_SECRET"
    ),
    # The certificate, and assertions of any kind.
    (700027,): "the certificate is not the one registered with the application, or expired",
    (50012,): (
        "the certificate is not the one registered with the application, or expired, or this"
        " machine's clock is wrong"
    ),
    (700030,): "the certificate's subject is not allowed for this application",
    (50017, 220501): (
        "the certificate's chain or revocation list cannot be checked: ask the tenant's"
        " administrator"
    ),
    (50032,): "the certificate's RSA key is too weak: register one with a longer key",
    (50003, 50146): "the application has no valid signing key: ask its owner",
    (50006, 50099, 900384): (
        "the assertion's signature is not valid: check the certificate, or who signs the"
        " federated token"
    ),
    (700024, 500133): (
        "the assertion is outside its time: check this machine's clock, and that the file"
        " AZURE_FEDERATED_TOKEN_FILE is renewed"
    ),
    (50013,): (
        "the assertion is expired, malformed or from another issuer: check this machine's"
        " clock, and the file AZURE_FEDERATED_TOKEN_FILE"
    ),
    (50027, 50098, 50120, 500131): (
        "the assertion is not a token for Entra ID: check the file AZURE_FEDERATED_TOKEN_FILE"
    ),
    (50048, 700021, 7000110): (
        "the assertion belongs to another application: check AZURE_CLIENT_ID, and the file"
        " AZURE_FEDERATED_TOKEN_FILE"
    ),
    (700023,): (
        "the assertion's audience or the scope is wrong: check AZURE_TENANT_ID,"
        " AZURE_AUTHORITY_HOST and BULKRSVP_CLOUD"
    ),
    # Workload identity federation.
    (70021,): (
        "no federated credential matches the token: compare issuer, subject and audience,"
        " letter by letter; a new one takes some minutes"
    ),
    (700211,): "no federated credential has the token's issuer: add one, or correct its issuer",
    (700212, 7002121, 700227): (
        "no federated credential has the token's audience: correct it there, or where the token"
        " is made"
    ),
    (700213, 7002137, 7002138, 7002203): (
        "no federated credential has the token's subject: add one, or correct its subject,"
        " letter by letter"
    ),
    (70025,): (
        "the application has no federated credential: add one for the token's issuer and subject"
    ),
    (700223, 700238, 7002381): (
        "a policy of the tenant limits workload identity federation: ask its administrator to"
        " allow the token's issuer"
    ),
    (700222, 700226, 700236): (
        "the federated token comes from Entra ID, which is not taken here: use a managed"
        " identity of this tenant, or another issuer"
    ),
    (700229,): "the federated token is a user's: use an application's",
    (70052,): (
        "the application is for several tenants, which its federated token is not taken for:"
        " register one for a single tenant"
    ),
    (50166, 501661, 7000272): (
        "Entra ID cannot get the keys of the token's issuer: check that what it publishes is up"
        " to date, and reachable from the internet"
    ),
    # The application.
    (700011, 700016): (
        "no such application in this tenant: check AZURE_CLIENT_ID and AZURE_TENANT_ID"
    ),
    (7000229,): (
        "the application has no service principal in this tenant: check AZURE_TENANT_ID, then"
        " have an administrator of it consent"
    ),
    (650059,): "the application is for its own tenant only: check AZURE_TENANT_ID",
    (90112,): "AZURE_CLIENT_ID must be the application's id, a GUID",
    (65002,): "AZURE_CLIENT_ID is an application of Microsoft's: register one of your own",
    (70001, 7000112): "the application is disabled: enable it in Entra ID",
    (1000031,): "the application cannot be used now: ask the tenant's administrator",
    (7000113, 7000114): "the application may not call on behalf of others: check AZURE_CLIENT_ID",
    # The tenant and its cloud.
    (90002,): "no such tenant: check AZURE_TENANT_ID and BULKRSVP_CLOUD",
    (50029, 50059, 50128, 90019, 900021, 900023): (
        "AZURE_TENANT_ID does not name a tenant: set it to the tenant's id, or to one of its"
        " domains"
    ),
    (50194, 90124, 90130, 9001023, 9002332): (
        "set AZURE_TENANT_ID to the tenant's own id, not to common, organizations or consumers"
    ),
    (50020, 50034, 51004, 90072): (
        "the account is not in this tenant: check AZURE_TENANT_ID and AZURE_CLIENT_ID"
    ),
    (5000225,): (
        "this tenant is blocked for inactivity: its administrator can ask Microsoft to"
        " reactivate it"
    ),
    (5000224,): "this tenant is not available: check AZURE_TENANT_ID, then ask Microsoft's support",
    (50002, 500021, 500022): (
        "tenant restrictions of your network do not allow this tenant: ask whoever keeps them"
    ),
    (500212, 500213): (
        "a cross-tenant access policy blocks the application: ask whoever keeps the policy"
    ),
    (90038, 900382, 900432): "the tenant belongs to another national cloud: check BULKRSVP_CLOUD",
    (50049, 90051): "no such authority or cloud: check AZURE_AUTHORITY_HOST and BULKRSVP_CLOUD",
    (70003,): "the authority does not take client credentials: check AZURE_AUTHORITY_HOST",
    (100007,): (
        "the regional authority does not take this application: unset AZURE_REGIONAL_AUTHORITY_NAME"
    ),
    (90004, 90023, 90100, 90121, 900561, 9002313): (
        "Entra ID finds the request malformed: check the AZURE_* variables and the proxy"
    ),
    # Graph, and what the application may do there.
    (500011,): "this tenant does not know Graph under that address: check BULKRSVP_CLOUD",
    (50001,): (
        "this tenant does not know Graph under that address, or Graph is disabled: check"
        " BULKRSVP_CLOUD, then ask its administrator"
    ),
    (500014,): (
        "Graph is disabled in this tenant, by its administrator or because a subscription has"
        " lapsed"
    ),
    (650052, 650054): (
        "this tenant has not subscribed to the service, or not enabled it: ask its administrator"
    ),
    (28002, 28003, 70011, 700022, 1002012): (
        "the scope is wrong for this cloud: check BULKRSVP_CLOUD"
    ),
    (65001, 90008, 90094, 90095, 90099): (
        "no administrator has consented to the application's permissions"
    ),
    (65005, 650056, 650057): (
        "the application lacks a permission: add Calendars.ReadWrite and consent"
    ),
    (50105, 501051): (
        "the application has no role that is required for Graph: assign it one in Entra ID"
    ),
    # Policies.
    (50005, 50097, 50131, 53000, 53001, 53002, 53003, 530002, 530003, 530036): (
        "Conditional Access blocks the application: ask whoever keeps its policies"
    ),
    (530032, 530035): "a security policy blocks the application: ask whoever keeps the policies",
    (50072, 50074, 50076, 50079, 53004, 53010): (
        "a policy requires multifactor authentication, which an application cannot do: ask"
        " whoever keeps the policy"
    ),
    (53011, 530034): (
        "access is blocked because of an identity's risk: ask whoever keeps the risk policies"
    ),
    (50053,): "the account is locked, or this address is blocked: see Entra ID's sign-in logs",
    # What the worker, or Microsoft, has to see to.
    (50196,): "too many requests for the same token: the worker waits",
    (50000, 50007, 90036): "Entra ID itself has failed: open a support ticket with Microsoft",
}

HINTS: Final = {f"AADSTS{number}": hint for numbers, hint in _HINTS.items() for number in numbers}
"""The hint for a code as Entra ID writes it."""

TRANSIENT: Final = frozenset(
    f"AADSTS{number}" for number in (50033, 50196, 90006, 90012, 90024, 90033, 90055, 90090)
)
"""Refusals that pass by themselves, whatever status they come with."""

NOT_SPECIFIC: Final = "AADSTS70002"
"""
Says only that the credential is wrong; the code that says why may stand behind it.

As in `AADSTS70002: Error validating credentials. AADSTS50012: Client assertion is not within its
valid time range.`
"""
