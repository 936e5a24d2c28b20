{{/* Checks that the schema cannot express: combinations that start and then do not do what was meant. */}}
{{- define "mxp.validate" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- $arn := "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$" -}}
{{- if not $values.bindings -}}
{{- $problems = append $problems "bindings is empty: no ServiceAccount would get an identity. Name a ServiceAccount, its namespaces and its roles; README.md has an example" -}}
{{- end -}}
{{- $image := include "mxp.imageName" . -}}
{{- if not (regexMatch "^(localhost|[^/]*[.:][^/]*)/" $image) -}}
{{- $problems = append $problems (printf "image: %s names no registry, so nodes would ask Docker Hub, which does not have it. Push the image to a registry of your own and set image.registry, for example to 123456789012.dkr.ecr.us-west-2.amazonaws.com" $image) -}}
{{- end -}}
{{- $fullname := include "mxp.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $fullname) -}}
{{- $problems = append $problems (printf "%q is no name for a Service, which begins with a letter and has no dots: set fullnameOverride" $fullname) -}}
{{- end -}}
{{- range $path, $labels := dict "commonLabels" $values.commonLabels "podLabels" $values.podLabels -}}
{{- range $key, $_ := include "mxp.ownLabels" $ | fromYaml -}}
{{- if hasKey $labels $key -}}
{{- $problems = append $problems (printf "%s: %s is a label that the chart sets, and finds its own objects by: remove it" $path $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $values.serviceAccount.create -}}
{{- if not $values.serviceAccount.name -}}
{{- $problems = append $problems "serviceAccount.create is false, but serviceAccount.name is empty: name the ServiceAccount that is there already" -}}
{{- end -}}
{{- range $key := list "roleArn" "annotations" -}}
{{- if get $values.serviceAccount $key -}}
{{- $problems = append $problems (printf "serviceAccount.create is false, so that serviceAccount.%s would not be written: annotate the ServiceAccount where it is made, and remove it here" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- $accounts := list -}}
{{- range $values.bindings -}}
{{- $where := printf "binding %q" .name -}}
{{- if has .name $names -}}
{{- $problems = append $problems (printf "%s is there twice: give each binding a name of its own" $where) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if not (or .namespaces.pattern .namespaces.selector) -}}
{{- $problems = append $problems (printf "%s: namespaces is empty, which would mean every namespace; give a selector or a pattern" $where) -}}
{{- end -}}
{{- range .roles -}}
{{- if not (regexMatch $arn .) -}}
{{- $problems = append $problems (printf "%s: %q is not the ARN of an IAM role; it looks like arn:aws:iam::123456789012:role/mxp-backup" $where .) -}}
{{- else if eq . $values.serviceAccount.roleArn -}}
{{- $problems = append $problems (printf "%s names %s, the role that the webhook itself runs as (serviceAccount.roleArn): control planes could then edit trust policies. Give the webhook a role of its own" $where .) -}}
{{- end -}}
{{- end -}}
{{- if ne .mode "annotate" -}}
{{- range .roles -}}
{{- if regexMatch $arn . -}}{{- $accounts = append $accounts (index (splitList ":" .) 4) | uniq -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .mode "pod-identity" -}}
{{- if not $values.cluster.name -}}
{{- $problems = append $problems (printf "%s is in mode pod-identity, which needs cluster.name: associations belong to an EKS cluster by name" $where) -}}
{{- end -}}
{{- if not .namespaces.pattern -}}
{{- $problems = append $problems (printf "%s is in mode pod-identity, which needs namespaces.pattern: the role's trust is narrowed to the namespaces that it fits, because AWS knows no labels" $where) -}}
{{- end -}}
{{- if gt (len .roles) 1 -}}
{{- $problems = append $problems (printf "%s is in mode pod-identity, which takes one role: associations never fill it up" $where) -}}
{{- end -}}
{{- if not (or (eq (toString $values.podGate) "deny") $values.reconciler.restartPodsWithoutIdentity) -}}
{{- $problems = append $problems (printf "%s is in mode pod-identity, where EKS learns of a new association only seconds later and a pod admitted before never gets an identity: set podGate to deny, or reconciler.restartPodsWithoutIdentity to true" $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (len $accounts) 1 -}}
{{- $problems = append $problems (printf "bindings name roles of the accounts %s, but the webhook writes roles of its own account alone: correct the ARNs, or use mode annotate where another tool manages trust" (join ", " $accounts)) -}}
{{- end -}}
{{- with $values.serviceAccount.roleArn -}}
{{- if not (regexMatch $arn .) -}}
{{- $problems = append $problems (printf "serviceAccount.roleArn: %q is not the ARN of an IAM role; it looks like arn:aws:iam::123456789012:role/mxp-identity-webhook" .) -}}
{{- end -}}
{{- end -}}
{{- $certificates := $values.certificates -}}
{{- if eq $certificates.source "cert-manager" -}}
{{- if not $certificates.issuerRef.name -}}
{{- $problems = append $problems "certificates.source is cert-manager, but certificates.issuerRef names no issuer: give its name and kind. It must be an issuer with a CA of its own; one of type selfSigned breaks at each renewal" -}}
{{- end -}}
{{- else if $certificates.issuerRef -}}
{{- $problems = append $problems (printf "certificates.issuerRef is for cert-manager, but certificates.source is %s: set the source to cert-manager, or remove issuerRef" $certificates.source) -}}
{{- end -}}
{{- if eq $certificates.source "files" -}}
{{- if not (and $certificates.existingSecret $certificates.caBundle) -}}
{{- $problems = append $problems "certificates.source is files: give certificates.existingSecret, a Secret with tls.crt and tls.key, and certificates.caBundle, the base64 of the CA that signed it" -}}
{{- end -}}
{{- else if $certificates.caBundle -}}
{{- $problems = append $problems (printf "certificates.caBundle is for the source files; with %s it is kept up to date for you: remove it" $certificates.source) -}}
{{- end -}}
{{- if and $values.webhook.url (ne $certificates.source "files") -}}
{{- $problems = append $problems "webhook.url is set, so the API server checks the certificate for that host, not for the Service: use certificates.source files with a certificate that names it" -}}
{{- end -}}
{{- if and (eq (int $values.replicas) 1) (eq $values.webhook.failurePolicy "Fail") -}}
{{- $problems = append $problems "replicas is 1 and webhook.failurePolicy is Fail: while that one pod restarts no bound ServiceAccount could be created. Use 2 replicas or more, or Ignore" -}}
{{- end -}}
{{- $budget := include "mxp.milliseconds" $values.admission.trustBudget | int64 -}}
{{- if lt (mul (int64 $values.webhook.timeoutSeconds) 1000) (add $budget 1000) -}}
{{- $problems = append $problems (printf "webhook.timeoutSeconds is %d, but must be over admission.trustBudget (%s) by 1 second at least: else the API server gives up before the answer comes" (int $values.webhook.timeoutSeconds) $values.admission.trustBudget) -}}
{{- end -}}
{{- if eq (int $values.server.port) (int $values.server.metricsPort) -}}
{{- $problems = append $problems (printf "server.port and server.metricsPort are both %d: they must differ" (int $values.server.port)) -}}
{{- end -}}
{{- with $values.podDisruptionBudget -}}
{{- $stay := toString .minAvailable -}}
{{- $all := or (eq $stay "100%") (and (regexMatch "^[0-9]+$" $stay) (ge (atoi $stay) (int $values.replicas))) -}}
{{- if and .enabled (gt (int $values.replicas) 1) (or $all (and (not $stay) (has (toString .maxUnavailable) (list "0" "0%")))) -}}
{{- $problems = append $problems (printf "podDisruptionBudget: all %d replicas would have to stay, so that no node with one could ever be drained: set maxUnavailable to 1, or minAvailable below replicas" (int $values.replicas)) -}}
{{- end -}}
{{- end -}}
{{- with $values.monitoring.serviceMonitor -}}
{{- if and .scrapeTimeout (gt (include "mxp.milliseconds" .scrapeTimeout | int64) (include "mxp.milliseconds" .interval | int64)) -}}
{{- $problems = append $problems (printf "monitoring.serviceMonitor.scrapeTimeout is %s, over the interval of %s: Prometheus refuses that" .scrapeTimeout .interval) -}}
{{- end -}}
{{- end -}}
{{- if and $values.hostNetwork $values.networkPolicy.enabled -}}
{{- $problems = append $problems "hostNetwork is true, and a NetworkPolicy does not hold for pods in the host's network: set networkPolicy.enabled to false" -}}
{{- end -}}
{{- /* Only helm against a cluster sees other releases; helm template sees none. */ -}}
{{- $installation := default .Release.Namespace $values.installation -}}
{{- range (lookup "v1" "ConfigMap" .Release.Namespace "").items -}}
{{- $other := dig "metadata" "labels" "app.kubernetes.io/instance" "" . -}}
{{- if and (hasPrefix (printf "%s-" $.Chart.Name) (dig "metadata" "labels" "helm.sh/chart" "" .)) (ne $other $.Release.Name) -}}
{{- if eq $installation (toString (dig "installation" "" (fromYaml (dig "data" "config.yaml" "" .)))) -}}
{{- $problems = append $problems (printf "release %q in namespace %s is installation %q too: each would remove the trust that the other gives. Give this release an installation of its own" $other $.Release.Namespace $installation) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nThese values do not work together:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}
