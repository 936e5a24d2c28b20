"""A real node: containerd, kubelet and kube-proxy in mount, network and process namespaces of their own.

`Node` is a `Cluster` whose nodes are not simulated: the image of the Dockerfile and real pods run on it. It needs
root and a few Debian packages; `packages.why_not` says what is missing.
"""
