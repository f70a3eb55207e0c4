"""Does a host answer? Found out in seconds, once for each host."""

import os
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

_known: dict[str, bool] = {}


class NotHere(Exception):
    """A source does not have what is asked for; the message says why, and the next one is tried."""


def is_reachable(url: str, seconds: float = 3.0) -> bool:
    """Tell whether the host of `url` answers, within `seconds` even where name look-up hangs.

    Proxies are honoured. The answer is kept for the host until the process ends. With
    `TL_OFFLINE=1` in the environment nothing is reachable and nothing is asked.

    Args:
        url: Address to ask for, "https://..."; a bare host name means https.
        seconds: Longest time to wait.

    Returns:
        True when the host answered with anything but a refusal or its own failure.

    Example:
        >>> is_reachable("http://localhost:1")  # nothing listens there
        False
    """
    if os.environ.get("TL_OFFLINE", "0") not in ("", "0"):
        return False
    url = url if "://" in url else f"https://{url}"
    host = urlsplit(url).netloc
    if host not in _known:
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(_ask(url, seconds)), daemon=True)
        thread.start()
        thread.join(seconds)
        _known[host] = bool(answers and answers[0])
    return _known[host]


def _ask(url: str, seconds: float) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.build_opener().open(request, timeout=seconds):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code not in (403, 407, 451)  # a proxy that says no
    except (OSError, ValueError):
        return False
