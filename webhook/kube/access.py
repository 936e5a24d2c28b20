"""Where the API server is, how it is verified, and with which credentials: a kubeconfig's, or the pod's own."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject, should_bypass_proxies
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_PORT_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
)
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from webhook.config.wording import yaml_problem
from webhook.kube.errors import every_outcome
from webhook.model.errors import ClusterError, InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import PoolManager

_PERSONAL_FILE = Path.home() / ".kube" / "config"

_NO_KUBECONFIG = "no kubeconfig found; set KUBECONFIG"
_LONGEST_TOKEN = 65536
_SCHEMES = frozenset({"http", "https"})
_PROXY_SCHEMES = _SCHEMES | {"socks5", "socks5h"}


class Access:
    """The address, certificates and credentials of KUBECONFIG, or of the pod's ServiceAccount.

    For a `person` it is as with kubectl: ~/.kube/config counts too, and `context` chooses within the file. Raises
    ClusterError for what does not pass by itself, InvalidNameError for a context that there is not; files that
    Kubernetes mounts are read when they are needed.
    """

    def __init__(self, *, person: bool, context: str | None) -> None:
        default = str(_PERSONAL_FILE) if person and _PERSONAL_FILE.exists() else None
        file = os.environ.get("KUBECONFIG") or default
        if context and not file:
            raise ClusterError(_NO_KUBECONFIG)
        self.context: str | None = None
        self._configuration = Configuration()
        self._token_file: Path | None = None
        self._renewing = Lock()
        try:
            if file:
                self._read(file, context)
            else:
                self._token_file = Path(SERVICE_TOKEN_FILENAME)
                self._configuration.host = f"https://{_address_in_pod()}"
                self._configuration.ssl_ca_cert = SERVICE_CERT_FILENAME
            self._check_addresses(file or "the environment")
        except yaml.YAMLError as error:
            raise ClusterError(yaml_problem(error, str(file))) from error
        except ConfigException as error:
            raise ClusterError(str(error)) from error
        except OSError as error:
            raise ClusterError(f"{error.filename or file}: {(error.strerror or str(error)).lower()}") from error

    @property
    def address(self) -> str:
        """The URL of the API server."""
        return str(self._configuration.host)

    def pool_manager(self, connections: int) -> PoolManager:
        """A pool of connections, `connections` of which are kept. It does not retry: callers with deadlines do."""
        self._configuration.retries = False
        self._configuration.connection_pool_maxsize = connections
        with every_outcome(self.address):
            manager: PoolManager = RESTClientObject(self._configuration).pool_manager
        _verify_as_kubectl(manager)
        return manager

    def authorization(self, seconds: float) -> str | None:
        """The value of the Authorization header now, or None for no header.

        Where credentials have expired one thread renews them, and others wait, for `seconds` at most. Raises
        ClusterError where there are none at the moment.
        """
        if self._token_file is not None:
            return f"Bearer {_token_in(self._token_file)}"
        if not self._renewing.acquire(timeout=seconds):
            raise ClusterError(f"the kubeconfig's exec plugin has given no credentials for {seconds:g} s")
        try:
            with _plugin_failures_raised():
                settings = self._configuration.auth_settings()
        finally:
            self._renewing.release()
        if "BearerToken" not in settings:
            return None
        value = str(settings["BearerToken"]["value"])
        if not _may_be_sent(value):
            raise ClusterError("the kubeconfig's token has characters that no token has")
        return value

    def _read(self, file: str, context: str | None) -> None:
        """Read a kubeconfig. The official client reads a `tokenFile` once and for all, so this class reads it."""
        try:
            merged = KubeConfigMerger(file)
            if merged.config is None:
                raise ConfigException(f"kubeconfig {file}: no such file; set KUBECONFIG")
            _check_names(merged.config.value, file, context)
            loader = KubeConfigLoader(
                merged.config, context, config_base_path=None, config_persister=merged.save_changes
            )
            self.context = str(loader.current_context["name"])
            user = _user_of(merged.config, loader.current_context)
            if (
                user is not None
                and user.safe_get("tokenFile")
                and not {"token", "auth-provider"} & set(user.value)
            ):
                self._token_file = Path(user.path or file).parent / user.value.pop("tokenFile")
            with _plugin_failures_raised():
                loader.load_and_set(self._configuration)
        except InvalidNameError:
            raise
        except (
            AttributeError,
            KeyError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:  # the client checks little of what it reads
            raise ConfigException(f"{file} is not a kubeconfig; set KUBECONFIG") from error

    def _check_addresses(self, where: str) -> None:
        configuration = self._configuration
        if not _is_address(configuration.host, _SCHEMES):
            raise ConfigException(f"the server in {where} is not like https://host:port")
        proxy = configuration.proxy
        if not proxy or should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
            return
        if not _is_address(proxy, _PROXY_SCHEMES):
            raise ConfigException(f"the proxy in {where} is not like https://host:port, nor socks5://host:port")
        if proxy.startswith("socks5:"):  # with kubectl it is the proxy that looks up names
            configuration.proxy = "socks5h" + proxy.removeprefix("socks5")


def _verify_as_kubectl(manager: PoolManager) -> None:
    """Have a pool manager, which has sent nothing so far, verify certificates as kubectl does, on each Python.

    From Python 3.13 on urllib3 sets VERIFY_X509_STRICT, which refuses certificates without key identifiers. RFC
    5280 lets a self-signed authority go without, and those of EKS have none, so EKS could not be reached
    (kubernetes-client/python#2394). Signatures, names, dates and purposes are verified all the same. Each
    connection reads the authority's file.
    """
    kinds: dict[str, Any] = dict(manager.pool_classes_by_scheme)  # other ones where a proxy speaks SOCKS
    manager.pool_classes_by_scheme = {**kinds, "https": _verifying(kinds["https"])}


def _verifying(pool: Any) -> Any:
    def connect(connection: Any) -> None:
        connection.ssl_context = _context(connection)
        kind.connect(connection)

    kind = pool.ConnectionCls
    return type(pool.__name__, (pool,), {"ConnectionCls": type(kind.__name__, (kind,), {"connect": connect})})


def _context(connection: Any) -> ssl.SSLContext:
    """A new context. An authority that the kubeconfig names is enough, be it self-signed or not."""
    context = create_urllib3_context(
        cert_reqs=resolve_cert_reqs(connection.cert_reqs), verify_flags=ssl.VERIFY_X509_PARTIAL_CHAIN
    )
    if not (connection.ca_certs or connection.ca_cert_data):
        context.load_default_certs()
    return context


@contextmanager
def _plugin_failures_raised() -> Iterator[None]:
    """Raise ClusterError, with the plugin's own message, where a plugin fails to give or to renew credentials.

    The official client only logs the failure, by the root logger, and goes on without credentials, or with expired
    ones. To be entered by one thread at a time.
    """
    logged: list[str] = []

    def record_failure(record: logging.LogRecord) -> bool:
        logged.append(_message(record))
        return False

    root = logging.getLogger()
    root.addFilter(record_failure)
    try:
        yield
    finally:
        root.removeFilter(record_failure)
    if logged:
        raise ClusterError(f"the kubeconfig's exec plugin gives no credentials: {'; '.join(logged)}")


def _message(record: logging.LogRecord) -> str:
    # On a terminal the plugin prints its reason itself, and the client fails for having none.
    is_printed = isinstance(sys.exc_info()[1], AttributeError)
    return "its reason is printed above" if is_printed else record.getMessage().removeprefix("exec: ")


def _check_names(config: Any, file: str, context: str | None) -> None:
    """Raise for a context, cluster or user that is named and is not there, with the names that are."""
    contexts = {one["name"]: one["context"].value for one in config["contexts"]}
    available = ", ".join(sorted(map(str, contexts))) or "none"
    name = context or config.get("current-context")
    if not name:
        raise ConfigException(f"kubeconfig {file} has no current context; available: {available}")
    if name not in contexts:
        why = f'context "{name}" not found; available: {available}'
        raise InvalidNameError(why) if context else ConfigException(f"{why} ({file})")
    for kind in ("cluster", "user"):
        named = contexts[name].get(kind)
        known = [one["name"] for one in config[f"{kind}s"]]
        if named not in known and (named or kind == "cluster"):
            raise ConfigException(f'context "{name}" names the {kind} "{named}", which is not in {file}')


def _user_of(config: Any, context: dict[str, Any]) -> Any:
    """The user of a kubeconfig's context, or None where it is anonymous."""
    name = context["context"].get("user")
    found = config["users"].get_with_name(name, safe=True) if name and config.safe_get("users") else None
    return found["user"] if found and found.safe_get("user") else None


def _address_in_pod() -> str:
    host, port = (os.environ.get(name) for name in (SERVICE_HOST_ENV_NAME, SERVICE_PORT_ENV_NAME))
    if not host or not port:
        raise ConfigException(_NO_KUBECONFIG)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_address(url: Any, schemes: frozenset[str]) -> bool:
    try:
        parts = urllib3.util.parse_url(url)
    except (urllib3.exceptions.HTTPError, TypeError, AttributeError):
        return False
    return parts.scheme in schemes and bool(parts.host)


def _token_in(file: Path) -> str:
    """The token, read at each call: the kubelet replaces it before it expires, and may be late at the start."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            token = opened.read(_LONGEST_TOKEN).strip()
    except OSError as error:
        raise ClusterError(f"the ServiceAccount token {file} cannot be read: {error.strerror}") from error
    if not token:
        raise ClusterError(f"the ServiceAccount token {file} is empty")
    if not _may_be_sent(token):
        raise ClusterError(f"the ServiceAccount token {file} has characters that no token has")
    return token


def _may_be_sent(value: str) -> bool:
    """Whether it can stand in a header; the error of Python's client would show all of it."""
    return value.isascii() and value.isprintable()
