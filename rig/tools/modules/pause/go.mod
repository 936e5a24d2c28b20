module mxp-identity-webhook/rig/pause

go 1.26.0
