"""From identity to a working backup: what is configured, and whether S3 takes an object of the control plane.

`reading` reads backup configurations and schedules into the values of `configs`, and `judging` judges them.
`simulating` asks IAM whether the roles allow the buckets.
`probing` sends one object through List, Put, Get and Delete. `access_denied` reads AWS's words, and `denials`
makes findings of them. `fixes` has the commands that correct them. `agent` is about mode pod-identity. `checking`
puts it all together. `serve` loads none of it.
"""
