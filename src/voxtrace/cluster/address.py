"""A Ray cluster seen from outside: what an address means, who answers there, and why joining it failed."""

from __future__ import annotations

import os
import re
import socket

from voxtrace.errors import ClusterError

LOCAL = "local"
REACH_S, SPEAK_S = 5.0, 10.0
START = "start one with: ray start --head --disable-usage-stats, on other machines: ray start --address=HOST:6379"


def address_of(text: str) -> tuple[str, str | None, int]:
    """ray://HOST:PORT, HOST:PORT or local -> (what Ray is told, host or None, port). Raises ClusterError."""
    found = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[^:/\s\[\]]+):(\d{1,5})", text)
    if text == LOCAL:
        return LOCAL, None, 0
    if not found or not 0 < int(found[2]) < 65536:
        raise ClusterError(f"--cluster {text}: write local, HOST:PORT on a machine of the cluster, or ray://HOST:PORT")
    return text, found[1].strip("[]"), int(found[2])


def is_lost(address: str) -> bool:
    """Whether nothing listens any more at the address of a cluster that was joined."""
    _, host, port = address_of(address)
    if host is None:
        return False
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError:
        return True
    return False


def require_ray(address: str) -> None:
    """Raise ClusterError where nothing answers within seconds, or something that is no Ray."""
    _, host, port = address_of(address)
    if host is not None:
        _reach(address, host, port)
        _check_speech(address, host, port)


def _reach(address: str, host: str, port: int) -> None:
    """Ray itself would try for a minute and then end the program."""
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise ClusterError(f"--cluster {address}: nothing answers there ({why}); {START}") from None


def _check_speech(address: str, host: str, port: int) -> None:
    """Whoever listens but is no Ray would be waited for without end."""
    try:
        import grpc
    except ImportError:  # comes with ray[client]; without it the address is trusted
        return
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=SPEAK_S)
        except grpc.FutureTimeoutError:
            raise ClusterError(f"--cluster {address}: what listens there is no Ray cluster; {START}") from None


def problem(address: str, error: BaseException) -> str:
    """What Ray says, in a line."""
    causes: list[str] = []
    at: BaseException | None = error
    while at is not None:
        causes.append(str(at))
        at = at.__cause__ or at.__context__
    text = "\n".join(causes)
    if "ersion mismatch" in text or "minor versions differ" in text:
        versions = "; ".join(re.findall(r"Ray: \S+|Python: \S+", text))
        return (
            f"--cluster {address}: it has another version of Ray or Python ({versions}); use the same on all machines: "
            "pip install 'ray[client]==VERSION'"
        )
    if "InvalidAuthToken" in text or "uthentication" in text:
        return (
            f"--cluster {address}: it wants Ray's token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the "
            "cluster's token (ray get-auth-token on its head)"
        )
    if address.startswith("ray://") or address == LOCAL:
        return f"--cluster {address}: no Ray cluster answers there ({_first_line(text)}); {START}"
    return (
        f"--cluster {address}: this machine could not join the cluster ({_first_line(text)}). Is Ray there, and this "
        f"machine one of the cluster's (ray start --address={address})? From any other use ray://HOST:10001"
    )


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason is given")[:200]
