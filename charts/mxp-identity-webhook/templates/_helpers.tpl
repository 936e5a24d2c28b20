{{- define "mxp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "mxp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "mxp.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mxp.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mxp.selector" -}}
app.kubernetes.io/name: {{ include "mxp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What the commands find the program by, whatever nameOverride is. It is not in selectors, which cannot change. */}}
{{- define "mxp.component" -}}
mxp-identity/component: webhook
{{- end -}}

{{- define "mxp.ownLabels" -}}
{{ include "mxp.selector" . }}
{{ include "mxp.component" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mxp.labels" -}}
{{- include "mxp.merged" (list (include "mxp.ownLabels" . | fromYaml) .Values.commonLabels) -}}
{{- end -}}

{{/* The maps of a list as one; of two with the same key the first counts. */}}
{{- define "mxp.merged" -}}
{{- $merged := dict -}}
{{- range . -}}{{- $merged = merge $merged . -}}{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* The image without its tag. */}}
{{- define "mxp.imageName" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- with $registry -}}{{- . -}}/{{- end -}}
{{- .Values.image.repository -}}
{{- end -}}

{{- define "mxp.image" -}}
{{- if .Values.image.digest -}}
{{ include "mxp.imageName" . }}@{{ .Values.image.digest }}
{{- else -}}
{{ include "mxp.imageName" . }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Secrets for the registry; a parent chart may name its own without `name:`. */}}
{{- define "mxp.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets -}}{{- uniq . | toYaml -}}{{- end -}}
{{- end -}}

{{/* The ServiceAccount that the program runs as. */}}
{{- define "mxp.serviceAccountName" -}}
{{- default (include "mxp.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The names of the bound ServiceAccounts, as a JSON list, which is also one in CEL. */}}
{{- define "mxp.serviceAccounts" -}}
{{- $names := list -}}
{{- range .Values.bindings -}}{{- $names = append $names .serviceAccount -}}{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The names of the Deployments that run as bound ServiceAccounts, as a JSON list. */}}
{{- define "mxp.deployments" -}}
{{- $names := list -}}
{{- range .Values.bindings -}}{{- $names = concat $names (default (list .serviceAccount) .deployments) -}}{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* What is done about pods without identity: nothing as long as the program only observes, and so gives none. */}}
{{- define "mxp.podGate" -}}
{{- .Values.observe | ternary "off" (toString .Values.podGate) -}}
{{- end -}}

{{/* Not empty where pods may be refused, so that their Deployments try again. */}}
{{- define "mxp.retries" -}}
{{- if eq (include "mxp.podGate" .) "deny" -}}true{{- end -}}
{{- end -}}

{{/* The ServiceAccount on which the program marks the bindings whose pods may be denied. */}}
{{- define "mxp.gate" -}}
{{- printf "%s-pod-gate" (include "mxp.fullname" .) -}}
{{- end -}}

{{/* The mark of a binding: another content has another mark. */}}
{{- define "mxp.mark" -}}
{{- toJson . | sha256sum | trunc 16 | printf "mxp-identity/refuses-%s" -}}
{{- end -}}

{{/* The Secret with the serving certificate. */}}
{{- define "mxp.secret" -}}
{{- default (printf "%s-tls" (include "mxp.fullname" .)) .Values.certificates.existingSecret -}}
{{- end -}}

{{/* A duration such as 500ms or 3s, in milliseconds. */}}
{{- define "mxp.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $number := regexFind "^[0-9.]+" . | float64 -}}
{{- mulf $number (get $units (regexFind "[a-z]+$" .)) | ceil | int64 -}}
{{- end -}}

{{/* The program's configuration file: docs/run/configuration.md. */}}
{{- define "mxp.configuration" -}}
{{- $name := include "mxp.fullname" . -}}
{{- $cluster := dict -}}
{{- range $key, $value := .Values.cluster -}}{{- if $value -}}{{- $_ := set $cluster $key $value -}}{{- end -}}{{- end -}}
{{- $certificates := dict "source" "files" "certFile" "/tls/tls.crt" "keyFile" "/tls/tls.key" -}}
{{- if eq .Values.certificates.source "self-managed" -}}
{{- $certificates = dict "source" "self-managed" "secret" (include "mxp.secret" .) "service" $name "webhookConfiguration" $name -}}
{{- end -}}
{{- $file := dict
  "namespace" .Release.Namespace
  "installation" (default .Release.Namespace .Values.installation)
  "bindings" .Values.bindings
  "admission" .Values.admission
  "reconciler" (merge (dict "nudgeRefusedPods" (eq (include "mxp.retries" .) "true")) .Values.reconciler)
  "server" .Values.server
  "logLevel" .Values.logLevel
  "certificates" $certificates -}}
{{- if .Values.observe -}}{{- $_ := set $file "observe" true -}}{{- end -}}
{{- if $cluster -}}{{- $_ := set $file "cluster" $cluster -}}{{- end -}}
{{- if include "mxp.retries" . -}}
{{- $marks := dict -}}
{{- range .Values.bindings -}}{{- $_ := set $marks (include "mxp.mark" .) .name -}}{{- end -}}
{{- $_ := set $file "podGate" (dict "serviceAccount" (include "mxp.gate" .) "marks" $marks) -}}
{{- end -}}
{{- toYaml $file -}}
{{- end -}}

{{/* "true" where the program may refuse a ServiceAccount. */}}
{{- define "mxp.denies" -}}
{{- $found := eq .Values.admission.onTrustFailure "deny" -}}
{{- range .Values.bindings -}}{{- if eq (default "keep" .existingAnnotation) "deny" -}}{{- $found = true -}}{{- end -}}{{- end -}}
{{- if $found -}}true{{- end -}}
{{- end -}}
