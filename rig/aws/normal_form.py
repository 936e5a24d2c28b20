"""The other forms IAM may show a stored policy in, all of the same meaning.

IAM keeps neither the order of keys nor that of arrays, and shows a list of one element as that element
(aws-controllers-k8s/community#2875, boto/boto3#1178, hashicorp/terraform-provider-aws#30870).
"""

import json
import random
from typing import Any


def reordered(document: str, seed: int) -> str:
    """Return the same policy in another order, lists of one unwrapped; the same for the same document and seed."""
    shuffler = random.Random(f"{seed}:{document}")
    return json.dumps(_shuffled(json.loads(document), shuffler), separators=(",", ":"), ensure_ascii=False)


def without_last_elements(document: str) -> str:
    """Return what is no form of the same policy: each array of more than one element lacks its last."""
    return json.dumps(_shortened(json.loads(document)), separators=(",", ":"), ensure_ascii=False)


def _shortened(value: Any) -> Any:
    if isinstance(value, list):
        items = [_shortened(item) for item in value]
        return items[:-1] if len(items) > 1 else items
    return {key: _shortened(item) for key, item in value.items()} if isinstance(value, dict) else value


def _shuffled(value: Any, shuffler: random.Random) -> Any:
    if isinstance(value, list):
        items = [_shuffled(item, shuffler) for item in value]
        shuffler.shuffle(items)
        return items[0] if len(items) == 1 else items
    if isinstance(value, dict):
        keys = list(value)
        shuffler.shuffle(keys)
        return {key: _shuffled(value[key], shuffler) for key in keys}
    return value
