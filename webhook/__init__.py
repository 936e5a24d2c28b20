"""The admission webhook that gives a control plane its AWS identity before its first pod starts.

`domain` holds the rules and does no I/O. `trust` makes AWS trust a ServiceAccount, `admission` answers the API
server, `reconcile` keeps cluster and AWS in step. `aws` and `cluster` are the only importers of boto3 and of
the Kubernetes client; `config` reads the file, `serving` puts the parts together, `cli` is what people type.
"""

VERSION = "0.1.0"
