"""What operators see of the program: metrics, logs and Events. Never a token, never a whole object.

`progress` is whether each loop makes progress, which `/healthz` answers. `refusals` counts and logs the requests
and connections that were refused.
"""
