"""IAM's API: moto's, and over it what moto lacks about trust policies.

moto keeps roles, users, access keys, inline policies and OIDC providers and writes the XML. Ours are the checks of
trust policies, their history, reads that are stale or reordered, the quota, and AWS's wording.
"""

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import AccountSummary, IAMBackend, Role
from moto.iam.responses import IamResponse

from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError
from rig.aws.faults import Reorder, Stale
from rig.aws.layers import Layers
from rig.aws.policy import Decision, Query, decide
from rig.aws.state import State
from rig.aws.switchboard import Met
from rig.aws.trust import Write
from rig.aws.violations import Violation

_known = IamResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER
_ENCODED = {
    **_known,
    "ListRolesResponse.Roles.Role.AssumeRolePolicyDocument": _known[
        "GetRoleResponse.Role.AssumeRolePolicyDocument"
    ],
}


class Iam(IamResponse):
    """One IAM call."""

    def __init__(self, state: State, call: ApiCall, caller: str, met: Met) -> None:
        super().__init__()
        self.RESPONSE_KEY_PATH_TO_TRANSFORMER = _ENCODED
        self._backend, self._trust, self._clock = state.iam, state.trust, state.clock
        self._call, self._caller, self._met = call, caller, met
        self._violations = state.violations
        self._layers = Layers(state)

    @property
    def backend(self) -> IAMBackend:
        """This stand-in's own state, not moto's global one."""
        return self._backend

    def get_current_account(self) -> str:
        """Return the one account there is."""
        return str(self._backend.account_id)

    def create_role(self) -> ActionResult:
        """Check the trust policy before moto keeps the role."""
        document = self._call.params.get("AssumeRolePolicyDocument", "")
        stored = self._trust.check("assumeRolePolicyDocument", document)
        result = super().create_role()
        self._written(self._backend.get_role(self._call.role), stored, document)
        return result

    def update_assume_role_policy(self) -> ActionResult:
        """Replace the whole document: there is no version and no condition (botocore's model of the call)."""
        role = self._backend.get_role(self._call.role)
        if role.path.startswith("/aws-service-role/"):
            raise AwsError(
                "UnmodifiableEntity",
                f"Cannot perform the operation on the protected role '{role.name}' - "
                "this role is only modifiable by AWS",
            )
        document = self._call.params.get("PolicyDocument", "")
        stored = self._trust.check("policyDocument", document)
        self._written(role, stored, document)
        return EmptyResult()

    def create_service_linked_role(self) -> ActionResult:
        """Keep the trust policy moto makes up for the service."""
        result = super().create_service_linked_role()
        role = next(reversed(self._backend.roles.values()))
        self._written(role, role.assume_role_policy_document, role.assume_role_policy_document)
        return result

    def delete_role(self) -> ActionResult:
        """Delete; from now on the role's id shows where a trust policy named it."""
        result = super().delete_role()
        self._trust.deleted(self._call.role)
        return result

    def get_role(self) -> ActionResult:
        """Show the role as a reader sees it."""
        stale = self._trust.late(Violation.READ_AGE, self._stale)
        try:
            return ActionResult({"Role": self._shown(self._call.role, stale)})
        except NotFoundException as error:
            if Violation.NO_SUCH_ROLE in self._violations:
                raise AwsError("ResourceNotFoundException", str(error), 404) from error
            raise

    def list_roles(self) -> ActionResult:
        """Show the roles as a reader sees them."""
        result = super().list_roles().result
        if not isinstance(result, dict):
            raise TypeError("moto's ListRoles is not what it was")
        names = [role.name for role in result["Roles"] if self._trust.version(role.name, self._stale)]
        return ActionResult({**result, "Roles": [self._shown(name, self._stale) for name in names]})

    def get_account_summary(self) -> ActionResult:
        """Report the quota trust policies are held to."""
        summary = AccountSummary(self._backend).summary_map
        return ActionResult({"SummaryMap": {**summary, "AssumeRolePolicySizeQuota": self._trust.quota}})

    def simulate_principal_policy(self) -> ActionResult:
        """Evaluate a role's policies and boundary for each action and resource; nothing else (API reference)."""
        role = self._backend.get_role(self._call.params["PolicySourceArn"].rpartition("/")[2])
        context = {
            value.lower(): tuple(self._members(key.replace("ContextKeyName", "ContextKeyValues.member.")))
            for key, value in self._call.params.items()
            if key.endswith(".ContextKeyName")
        }
        results = [
            self._simulated(role, Query(action, resource, context=context))
            for action in self._members("ActionNames.member.")
            for resource in self._members("ResourceArns.member.")
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    def _members(self, prefix: str) -> list[str]:
        return [value for key, value in self._call.params.items() if key.startswith(prefix)]

    def _simulated(self, role: Role, query: Query) -> dict[str, object]:
        decision, limits = decide(self._layers.identity(role), query), self._layers.boundary(role)
        bounded = None if limits is None else decide(limits, query)
        if Decision.DENIED in {decision, bounded}:
            word = "explicitDeny"
        else:
            word = "allowed" if {decision, bounded} <= {Decision.ALLOWED, None} else "implicitDeny"
        found: dict[str, object] = {"EvalActionName": query.action, "EvalResourceName": query.resource}
        detail = {"AllowedByPermissionsBoundary": bounded is Decision.ALLOWED}
        more = {} if bounded is None else {"PermissionsBoundaryDecisionDetail": detail}
        return {**found, "EvalDecision": word, **more}

    def add_client_id_to_open_id_connect_provider(self) -> ActionResult:
        """Add an audience; one that is there already is no error (API reference)."""
        clients = self._client_ids()
        if self._call.params["ClientID"] not in clients:
            clients.append(self._call.params["ClientID"])
        return EmptyResult()

    def remove_client_id_from_open_id_connect_provider(self) -> ActionResult:
        """Remove an audience; one that is not there is no error (API reference)."""
        clients = self._client_ids()
        if self._call.params["ClientID"] in clients:
            clients.remove(self._call.params["ClientID"])
        return EmptyResult()

    def _client_ids(self) -> list[str]:
        return self._backend.get_open_id_connect_provider(
            self._call.params["OpenIDConnectProviderArn"]
        ).client_id_list

    @property
    def _stale(self) -> Stale | None:
        return self._met.first(Stale)

    def _shown(self, name: str, stale: Stale | None) -> Role:
        version = self._trust.version(name, stale)
        if version is None:
            raise NotFoundException(f"The role with name {name} cannot be found.")
        return self._trust.shown(version, self._met.first(Reorder))

    def _written(self, role: Role, stored: str, document: str) -> None:
        role.assume_role_policy_document = document
        write = Write(
            role=role.name,
            document=document,
            at=self._clock(),
            caller=self._caller,
            request_id=self._call.request_id,
            action=self._call.action,
        )
        self._trust.written(role, stored, write)
