"""The admission webhook that gives a control plane its AWS identity before its first pod starts.

Folders say with which rights code runs. `model` is pure. `iam` and `podidentity` decide and write what AWS trusts;
`engine` joins the two. `coordination` keeps replicas apart, by Leases. `controller` keeps cluster and AWS in step,
`admission` answers the API server, and `observe` is the program that changes nothing. `planning` compares the
cluster with AWS, for commands and `observe`. `aws` and `kube` are the only importers of boto3 and of the
Kubernetes client. `config`, `telemetry` and `runtime` serve the others. `server` puts the running program
together. `cli` is what people run with their own rights; nothing but `__main__` imports it.
"""

VERSION = "0.1.0"
