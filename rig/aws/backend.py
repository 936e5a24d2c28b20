"""moto's state of one account's IAM, with AWS's words for what is not there."""

from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, OpenIDConnectProvider, Role


class Backend(IAMBackend):
    """moto's state of one account's IAM, with AWS's words for what is not there."""

    def get_role(self, role_name: str) -> Role:
        """Return a role or raise NoSuchEntity."""
        try:
            return super().get_role(role_name)
        except NotFoundException as error:
            raise NotFoundException(f"The role with name {role_name} cannot be found.") from error

    def get_open_id_connect_provider(self, arn: str) -> OpenIDConnectProvider:
        """Return a provider or raise NoSuchEntity."""
        try:
            return super().get_open_id_connect_provider(arn)
        except NotFoundException as error:
            raise NotFoundException(f"OpenIDConnect Provider not found for arn {arn}") from error
