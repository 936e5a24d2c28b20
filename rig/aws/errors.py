"""What AWS answers when it refuses, in its own words.

Sources: the errors of the botocore service models (codes and HTTP statuses), and public reports that quote the
messages. A message without a quoted source follows the documentation text of its error.
"""

from xml.sax.saxutils import escape

_SERVER_ERROR = 500


class AwsError(Exception):
    """An answer other than success: an error code, a message for people, and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self, namespace: str, request_id: str) -> str:
        """Return the XML of the Query protocol's error document."""
        kind = "Receiver" if self.status >= _SERVER_ERROR else "Sender"
        return (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type><Code>{escape(self.code)}</Code>'
            f"<Message>{escape(self.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )


def validation_error(message: str) -> AwsError:
    """Return the error for a parameter that breaks its constraint."""
    return AwsError("ValidationError", message)


def invalid_identity_token(message: str) -> AwsError:
    """Return the error for a web identity token that STS does not take."""
    return AwsError("InvalidIdentityToken", message)


def throttling() -> AwsError:
    """Return what IAM and STS answer above their request rates; HTTP 400, not 429."""
    return AwsError("Throttling", "Rate exceeded")


def not_authorized_to_assume() -> AwsError:
    """Return STS's answer when no trust policy lets the token in, whatever the reason."""
    return AwsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)


def not_authorized(
    caller: str, action: str, resource: str, *, denied: bool, kind: str = "identity-based policy"
) -> AwsError:
    """Return the answer to a caller whom policies of that kind do not allow an action."""
    article = "an" if kind[0] in "aeio" else "a"
    reason = (
        f"with an explicit deny in {article} {kind}" if denied else f"because no {kind} allows the {action} action"
    )
    message = f"User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}"
    return AwsError("AccessDenied", message, 403)
