"""moto's state of one account's IAM, with AWS's words for what is not there."""

from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, OpenIDConnectProvider, Role, User
from moto.iam.utils import random_role_id


class Backend(IAMBackend):
    """moto's state of one account's IAM, with AWS's words for what is not there."""

    def create_user(
        self, region_name: str, user_name: str, path: str = "/", tags: list[dict[str, str]] | None = None
    ) -> User:
        """Make a user; its id begins with AIDA, which moto's does not."""
        user = super().create_user(region_name, user_name, path, tags)
        user.id = "AIDA" + random_role_id(self.account_id).removeprefix("AROA")
        return user

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
