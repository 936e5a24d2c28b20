"""What every long-running part is built from: backoff, a rate limiter, and loops that outlive their failures."""
