"""Refusals as boto3 tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

__all__ = ["refused"]


def refused(call: Callable[..., Any], /, **arguments: Any) -> tuple[int, str]:
    """Status and code of a call that must fail; for HEAD, which has no document, the code is the status."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
