"""Why no connection came about, in words that name the cause and quote nothing that a server sent."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping

from worker.adapters.http.guard import NotPublic

_OF_CERTIFICATES: Mapping[int, str] = {
    9: "its certificate is not valid yet; is this machine's clock right?",
    10: "its certificate has expired; or this machine's clock is wrong",
    18: "its certificate is signed by itself, and not trusted here",
    19: "an authority that is not trusted here has signed its certificate",
    20: "an authority that is not known here has signed its certificate, or the server does not send an intermediate "
    "one",
    21: "the server does not send the intermediate certificate that its own was signed with",
    23: "its certificate was revoked",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
"""By the codes of OpenSSL's X509_V_ERR_."""

_OF_TLS: Mapping[str, str] = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS at this port; is it plain http?",
    "HTTP_REQUEST": "the server does not speak TLS at this port; is it plain http?",
    "PACKET_LENGTH_TOO_LONG": "the server does not speak TLS at this port; is it plain http?",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS at this port; is it plain http?",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks no version of TLS that is allowed here",
    "UNSUPPORTED_PROTOCOL": "the server speaks no version of TLS that is allowed here",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection in the middle of the TLS handshake",
}
"""By the reasons of OpenSSL."""

_OF_SYSTEM: Mapping[int, str] = {
    errno.ECONNREFUSED: "the connection was refused: nothing listens at that port",
    errno.ENETUNREACH: "there is no route to it",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ECONNRESET: "the server closed the connection at once",
    errno.EMFILE: "this process has too many open files",
}

_OF_NAMES: Mapping[int, str] = {
    socket.EAI_NONAME: "there is no host of that name",
    socket.EAI_AGAIN: "its name cannot be looked up now",
}


def cause_in_words(error: BaseException) -> str:
    """What an error of the system or of TLS means; its kind where nothing better is known."""
    known: str | None = None
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _OF_CERTIFICATES.get(getattr(error, "verify_code", 0))
    elif isinstance(error, ssl.SSLError):
        known = _OF_TLS.get(getattr(error, "reason", None) or "")
    elif isinstance(error, socket.gaierror):
        known = _OF_NAMES.get(error.errno or 0)
    elif isinstance(error, NotPublic):
        known = "its name leads to this machine or into a network of its own, and somebody else named it"
    elif isinstance(error, OSError):
        known = _OF_SYSTEM.get(error.errno or 0)
    elif isinstance(error, ValueError):
        known = "no host can have such a name"
    return known or type(error).__name__
