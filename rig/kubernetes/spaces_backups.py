"""The kinds with which Spaces configures backups, as its CRDs v1.17 have them, and objects of these kinds.

Names, versions, scopes, required fields and the rule about Secrets are Spaces' own; what no command needs is left
out. SharedBackupConfig's schema is the same from v1.13 on.
"""

from collections.abc import Sequence
from typing import Any

from rig.kubernetes.api import Api, ApiError
from rig.kubernetes.objects import Object

SHARED, ADMIN = "spaces.upbound.io", "admin.spaces.upbound.io"

_TEXT: Object = {"type": "string"}
_SECRET_RULE = {
    "rule": "self.source != 'Secret' || (has(self.secretRef) && self.secretRef.name != '')",
    "message": "secretRef.name must be set when source is Secret",
}


def _storage(secret_fields: Sequence[str], credential_fields: Sequence[str]) -> Object:
    secret = {"type": "object", "properties": dict.fromkeys(secret_fields, _TEXT)}
    credentials = {
        "type": "object",
        "required": ["source"],
        "properties": {
            "source": {"type": "string", "enum": ["Secret", "InjectedIdentity"]},
            "secretRef": {**secret, "required": ["name"]},
            **{
                name: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                for name in credential_fields
            },
        },
        "x-kubernetes-validations": [_SECRET_RULE],
    }
    return {
        "type": "object",
        "required": ["provider", "bucket", "credentials"],
        "properties": {
            "provider": {"type": "string", "enum": ["AWS", "Azure", "GCP"]},
            "bucket": {"type": "string", "minLength": 1},
            "prefix": _TEXT,
            "config": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "credentials": credentials,
        },
    }


_ANY: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_REFERENCE: Object = {
    "type": "object",
    "required": ["kind", "name"],
    "properties": {"apiGroup": _TEXT, "kind": _TEXT, "name": _TEXT},
}
_SELECTOR: Object = {
    "type": "object",
    "properties": {
        "names": {"type": "array", "items": _TEXT},
        "labelSelectors": {"type": "array", "items": _ANY},
    },
    "x-kubernetes-validations": [
        {"rule": "has(self.names) || has(self.labelSelectors)", "message": "names or labelSelectors is required"}
    ],
}


def _of(**properties: Object) -> Object:
    """A spec whose fields are all required, but for those that each schedule may leave out."""
    optional = {"suspend": {"type": "boolean"}, "ttl": _TEXT, "deletionPolicy": _TEXT}
    return {"type": "object", "required": [*properties], "properties": {**properties, **optional}}


def _definition(group: str, kind: str, plural: str, versions: Sequence[str], spec: Object) -> Object:
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": spec, "status": _ANY},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced" if group == SHARED else "Cluster",
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                }
                for name in versions
            ],
        },
    }


_BOTH, _FIRST = ("v1alpha1", "v1beta1"), ("v1alpha1",)
_SHARED_CONFIG = _of(objectStorage=_storage(["name", "key"], []))
_SPACE_CONFIG = _of(objectStorage=_storage(["name", "namespace", "key"], ["env", "fs"]))
DEFINITIONS: tuple[Object, ...] = (
    _definition(SHARED, "SharedBackupConfig", "sharedbackupconfigs", _BOTH, _SHARED_CONFIG),
    _definition(
        SHARED,
        "SharedBackupSchedule",
        "sharedbackupschedules",
        _BOTH,
        _of(configRef=_REFERENCE, controlPlaneSelector=_SELECTOR, schedule=_TEXT),
    ),
    _definition(
        SHARED,
        "BackupSchedule",
        "backupschedules",
        _BOTH,
        _of(configRef=_REFERENCE, controlPlane=_TEXT, schedule=_TEXT),
    ),
    _definition(ADMIN, "SpaceBackupConfig", "spacebackupconfigs", _FIRST, _SPACE_CONFIG),
    _definition(
        ADMIN, "SpaceBackupSchedule", "spacebackupschedules", _FIRST, _of(configRef=_REFERENCE, schedule=_TEXT)
    ),
)
"""The CustomResourceDefinitions."""


def serves_backups(api: Api) -> bool:
    """Whether the API server serves the kinds, and lists them in its discovery."""
    for item in DEFINITIONS:
        spec = item["spec"]
        try:
            found = api.get(f"/apis/{spec['group']}/{spec['versions'][0]['name']}")["resources"]
            api.get(f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}")
        except ApiError:
            return False
        if spec["names"]["plural"] not in {one["name"] for one in found}:
            return False
    return True


def config(group: str, name: str = "backups", bucket: str = "my-backups", **storage: Any) -> Object:
    """A SharedBackupConfig with the pods' identity; `storage` replaces fields of its object storage."""
    settings = {"endpoint": "s3.us-west-2.amazonaws.com", "region": "us-west-2"}
    credentials = {"source": "InjectedIdentity"}
    return {
        "apiVersion": f"{SHARED}/v1alpha1",
        "kind": "SharedBackupConfig",
        "metadata": {"name": name, "namespace": group},
        "spec": {
            "objectStorage": {
                "provider": "AWS", "bucket": bucket, "config": settings, "credentials": credentials, **storage,
            },
        },
    }  # fmt: skip


def schedule(group: str, config_name: str = "backups", *names: str, **more: Any) -> Object:
    """A SharedBackupSchedule of control planes by their names."""
    return {
        "apiVersion": f"{SHARED}/v1alpha1",
        "kind": "SharedBackupSchedule",
        "metadata": {"name": "daily", "namespace": group},
        "spec": {
            "configRef": {"kind": "SharedBackupConfig", "name": config_name},
            "controlPlaneSelector": {"names": list(names)},
            "schedule": "@daily",
            **more,
        },
    }
