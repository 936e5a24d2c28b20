"""`setup -o terraform`: read by an HCL parser, checked against the provider's schema, and made by hand."""

import json
import re
from typing import Any

import hcl2
import pytest

from rig.aws.standin import AwsStandIn
from tests.cli.setup.accounts import BY_PODS, ROLES, account_of, setup
from tests.cli.setup.provider_schema import schema

MODES = {"irsa": ("--preset", "billing"), "pod-identity": (*BY_PODS, "--preset", "billing")}
OF_OTHERS = ["description", "max_session_duration", "permissions_boundary", "tags"]
"""What a role that is imported keeps, above all the boundary of its permissions."""
WRITTEN_BY_THE_WEBHOOK = ["assume_role_policy"]
_PLAIN = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)
_REFERENCE = re.compile(r"\$\{(aws_\w+)\.([\w-]+)\.(name|arn)\}")


def configuration(printed: str) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, str]]:
    """The resources by type and name, and the ids of the imports by their addresses."""
    parsed = hcl2.loads(printed, serialization_options=_PLAIN)
    resources = {
        (kind, name): content
        for block in parsed.get("resource", [])
        for kind, named in block.items()
        for name, content in named.items()
    }
    imports = {block["to"].strip("${}"): block["id"] for block in parsed.get("import", [])}
    return resources, imports


def _document(value: str) -> str:
    """What `jsonencode` makes of an argument."""
    argument = value.removeprefix("${jsonencode(").removesuffix(")}")
    return json.dumps(json.loads(re.sub(r'("[^"]*") = ', r"\1: ", argument)))


@pytest.mark.parametrize("mode", MODES)
def test_its_attributes_are_those_of_the_providers_schema(aws: AwsStandIn, mode: str) -> None:
    resources, imports = configuration(setup(aws, *MODES[mode], "-o", "terraform").out)
    known = schema()["resources"]
    assert {kind for kind, _ in resources} <= known.keys()
    assert imports == {}
    for (kind, name), content in resources.items():
        attributes = content.keys() - {"lifecycle"}
        assert attributes <= known[kind].keys(), name
        assert {one for one, about in known[kind].items() if about["required"]} <= attributes, name
        for one in attributes:
            assert known[kind][one]["type"] == ("string[]" if isinstance(content[one], list) else "string")
    ignoring = {name: content["lifecycle"] for (_, name), content in resources.items() if "lifecycle" in content}
    bound = [{"ignore_changes": [*WRITTEN_BY_THE_WEBHOOK, *OF_OTHERS]}]
    own = [{"ignore_changes": OF_OTHERS}]
    assert ignoring == {"mxp-backup": bound, "mxp-billing": bound, "mxp-identity-webhook": own}
    assert {*WRITTEN_BY_THE_WEBHOOK, *OF_OTHERS} <= known["aws_iam_role"].keys()


@pytest.mark.parametrize("mode", MODES)
def test_made_by_its_resources_the_account_lacks_nothing_and_a_second_run_imports_them(
    aws: AwsStandIn, mode: str
) -> None:
    first = setup(aws, *MODES[mode], "-o", "terraform")
    resources, _ = configuration(first.out)
    _make(aws, resources)
    assert "nothing is missing" in setup(aws, *MODES[mode]).out

    again, imports = configuration(setup(aws, *MODES[mode], "-o", "terraform").out)
    assert again == resources, "so that Terraform finds nothing to change"
    assert imports.keys() == {".".join(address) for address in resources}
    assert imports["aws_iam_role_policy.mxp-backup-backup-bucket"] == "mxp-backup:backup-bucket"


def test_roles_whose_names_differ_in_a_character_that_terraform_lacks_are_two_resources(aws: AwsStandIn) -> None:
    roles = ("a.b", "a_b", "a@b")
    options = [word for role in roles for word in ("--role", role)]
    resources, _ = configuration(setup(aws, *options, "-o", "terraform").out)
    assert {one["name"] for (kind, _), one in resources.items() if kind == "aws_iam_role"} == {*roles, ROLES[1]}
    _make(aws, resources)
    assert "nothing is missing" in setup(aws, *options).out


def test_what_others_added_to_the_webhooks_role_is_kept(aws: AwsStandIn) -> None:
    assert setup(aws, "--approve").code == 0
    mine = {
        "Sid": "BreakGlass",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"},
        "Action": "sts:AssumeRole",
    }
    document = account_of(aws)["roles"][ROLES[1]]["AssumeRolePolicyDocument"]
    whole = {**document, "Statement": [mine, *document["Statement"]]}
    aws.admin_client("iam").update_assume_role_policy(RoleName=ROLES[1], PolicyDocument=json.dumps(whole))
    resources, _ = configuration(setup(aws, "-o", "terraform").out)
    written = _document(resources["aws_iam_role", ROLES[1]]["assume_role_policy"])
    assert json.loads(written) == whole


def _make(aws: AwsStandIn, resources: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Create them by the calls that the provider makes, those first that others refer to."""
    iam, eks = aws.admin_client("iam"), aws.admin_client("eks")

    def referred(value: str) -> str:
        found = _REFERENCE.fullmatch(value)
        if found is None:
            return value
        name = resources[found[1], found[2]]["name"]
        return str(name) if found[3] == "name" else f"arn:aws:iam::{aws.account}:role/{name}"

    for (kind, _), one in sorted(resources.items(), key=lambda item: item[0][0].startswith("aws_eks")):
        match kind:
            case "aws_iam_openid_connect_provider":
                iam.create_open_id_connect_provider(Url=one["url"], ClientIDList=one["client_id_list"])
            case "aws_iam_role":
                iam.create_role(
                    RoleName=one["name"], AssumeRolePolicyDocument=_document(one["assume_role_policy"])
                )
            case "aws_iam_role_policy":
                iam.put_role_policy(
                    RoleName=referred(one["role"]), PolicyName=one["name"], PolicyDocument=_document(one["policy"])
                )
            case "aws_eks_addon":
                eks.create_addon(clusterName=one["cluster_name"], addonName=one["addon_name"])
            case "aws_eks_pod_identity_association":
                eks.create_pod_identity_association(
                    clusterName=one["cluster_name"],
                    namespace=one["namespace"],
                    serviceAccount=one["service_account"],
                    roleArn=referred(one["role_arn"]),
                )
