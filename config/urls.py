"""
What an address of Entra ID or Graph in the environment must look like.

Each function takes the text as it was set and returns it in one spelling, or raises `ValueError`
with what to do. No message repeats the text: an address may hold a password.
"""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def graph_root(text: str) -> str:
    """Accept a root without version: `https`, or `http` on this machine only."""
    parts = _split(text)
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https; http is allowed for this machine only (localhost)")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("must be an address like https://graph.microsoft.com")
    _refuse_extras(parts)
    path = parts.path.rstrip("/")
    if path.rsplit("/", 1)[-1].lower() in {"v1.0", "beta"}:
        raise ValueError("must not end in a version: that is what BULKRSVP_API_VERSION is for")
    return f"{parts.scheme}://{parts.netloc}{path}"


def authority_host(text: str) -> str:
    """Accept a host, or an `https` address without a path, and return the address."""
    parts = _split(text if "://" in text else f"https://{text}")
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("must be a host or an https address, like login.microsoftonline.com")
    _refuse_extras(parts)
    if parts.path.strip("/"):
        raise ValueError("must have no path: the tenant comes from AZURE_TENANT_ID")
    return f"https://{parts.netloc}"


def is_on_this_machine(address: str) -> bool:
    """Return whether an accepted address leads to this machine only."""
    return _is_loopback(urlsplit(address).hostname)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a readable address (host or port): correct it") from None
    return parts


def _refuse_extras(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValueError("must hold no user or password")
    if parts.query or parts.fragment:
        raise ValueError("must have nothing after ? or #")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False
