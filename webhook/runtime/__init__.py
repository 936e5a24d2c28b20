"""What every long-running part is built from.

`clock` has the clock and the pauses after failures, `rate_limiter` limits calls to AWS, and `supervision` runs
loops that outlive their failures.
"""
