"""How the SDKs are pointed at the stand-in, whatever the ambient environment says.

A configured proxy, profile or credentials file must not come between a test and a loopback address.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from rig.aws.callers import Credentials

_lock = threading.Lock()  # making clients is not thread-safe, using them is
_nothing_ambient = boto3.session.Session(
    botocore_session=botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
            "ca_bundle": (None, None, None, None),
        }
    )
)


def client(service: str, url: str, region: str, credentials: Credentials, config: Config | None) -> Any:
    """Return an unmodified boto3 client. Without `config` it tries once, waits 5 s and reuses 50 connections."""
    defaults = Config(
        proxies={},
        connect_timeout=5,
        read_timeout=5,
        retries={"total_max_attempts": 1},
        max_pool_connections=50,
    )
    with _lock:
        return _nothing_ambient.client(
            service,  # type: ignore[call-overload]
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=defaults.merge(config) if config else defaults,
        )


def environment(url: str, region: str, host: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` without its AWS settings, with the stand-in's endpoint, and no proxy for its host."""
    kept = {name: value for name, value in base.items() if not name.startswith("AWS_")}
    bypass = ",".join(filter(None, [base.get("NO_PROXY") or base.get("no_proxy", ""), host]))
    return {
        **kept,
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": bypass,
        "no_proxy": bypass,
    }


def key_variables(credentials: Credentials) -> dict[str, str]:
    """Return the variables by which SDKs find an access key."""
    found = {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
    }
    return {**found, "AWS_SESSION_TOKEN": credentials.session_token} if credentials.session_token else found
