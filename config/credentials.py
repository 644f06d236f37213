"""Messages for variables that do not describe a whole credential."""

from typing import Final

from config.values import TokenCredentials

MISSING: Final = {
    "AZURE_TENANT_ID": "is not set; set it to the id or domain of the tenant, needed with a",
    "AZURE_CLIENT_ID": "is not set; set it to the application (client) id, needed with a",
}
"""For a variable that a credential needs; the kind of credential follows the text."""

_ANY_CREDENTIAL = (
    "AZURE_CLIENT_SECRET: no credential is set; set AZURE_TENANT_ID, AZURE_CLIENT_ID and one of"
    " AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE;"
    " on Azure with a managed identity set AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential"
)
NO_CREDENTIAL: Final = {
    None: _ANY_CREDENTIAL,
    TokenCredentials.ENVIRONMENT: (
        "AZURE_TOKEN_CREDENTIALS: is EnvironmentCredential, but there is no secret or certificate;"
        " set AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH"
    ),
    TokenCredentials.WORKLOAD_IDENTITY: (
        "AZURE_TOKEN_CREDENTIALS: is WorkloadIdentityCredential, but there is no token file;"
        " set AZURE_FEDERATED_TOKEN_FILE, or give the pod its workload identity"
    ),
}
"""By what `AZURE_TOKEN_CREDENTIALS` asks for; None where it is not set."""
